// Package browser drives a real Chromium for tests of what people see.
//
// It is for the pages that the fleet manager serves. It is not for its API, which
// needs no browser. Invariant: the browser reaches this machine only and starts
// without any history, and everything that it asked for and complained of is on
// record.
package browser

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience bounds a test with a browser.
const Patience = 2 * time.Minute

// Browser is a Chromium with one tab.
type Browser struct {
	Context context.Context // of the tab, for chromedp

	t          *testing.T
	mu         sync.Mutex
	requests   []string
	complaints []string
}

// programs are the names that Chromium has.
var programs = [...]string{"chromium", "chromium-browser", "google-chrome"}

// Open starts a browser that ends with the test. Where there is none the test is
// skipped, unless REQUIRE_BROWSER is set, as it is where the project is built.
func Open(t *testing.T) *Browser {
	t.Helper()
	program := ""
	for _, name := range programs {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	switch {
	case program == "" && os.Getenv("REQUIRE_BROWSER") != "":
		t.Fatal("there is no Chromium; make browser installs it")
	case program == "":
		t.Skip("SKIPPED: there is no Chromium; make browser installs it")
	}
	profile, err := os.MkdirTemp("", "browser-") //nolint:usetesting // children of the browser may write for a moment longer than it lives
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	limited, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	allocated, cancel := chromedp.NewExecAllocator(limited, options(program, profile)...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(tab) }) // waits until it has ended
	b := &Browser{Context: tab, t: t}
	b.Watch(tab)
	b.Run(network.Enable(), log.Enable(), runtime.Enable())
	return b
}

func options(program, profile string) []chromedp.ExecAllocatorOption {
	return append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program), chromedp.UserDataDir(profile),
		chromedp.NoSandbox, // tests may run as root, where there is none
		chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WindowSize(1280, 1024), chromedp.WSURLReadTimeout(time.Minute),
	)
}

// Watch records what a tab asks for and complains of.
func (b *Browser) Watch(tab context.Context) {
	chromedp.ListenTarget(tab, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, e.Request.URL)
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				b.complaints = append(b.complaints, "console: "+string(e.Args[0].Value))
			}
		}
	})
}

// Run does things in the tab.
func (b *Browser) Run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.Context, actions...); err != nil {
		b.t.Fatalf("driving the browser: %v\nit complained of %q", err, b.Complaints())
	}
}

// Complaints are the errors and warnings since the last time.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.complaints
	b.complaints = nil
	return out
}

// Hosts are those that were asked for anything so far, in order.
func (b *Browser) Hosts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	hosts := []string{}
	for _, text := range b.requests {
		if strings.HasPrefix(text, "data:") { // inside the page
			continue
		}
		host := text
		if parsed, err := url.Parse(text); err == nil && parsed.Host != "" {
			host = parsed.Host
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts
}
