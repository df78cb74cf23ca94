// Package prometheus runs a real Prometheus beside a sandbox or a test: a process
// of its own that scrapes the brokers of a data plane every second and records
// what the data planes' own Prometheus does.
//
// It is not for figures that must last: each one begins empty. Invariant: it ends
// with whoever started it, however that ends.
package prometheus

import (
	"context"
	_ "embed" // the rules
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

const (
	readyDeadline = 30 * time.Second
	stopDeadline  = 5 * time.Second
)

// ErrNotInstalled says what to do.
var ErrNotInstalled = errors.New("no Prometheus found: make prometheus gets one from Debian's packages; elsewhere install it so that it is in PATH")

//go:embed rules.yml
var rules []byte

// installed is where scripts/install-prometheus puts it, below the folder of the module.
const installed = ".tools/prometheus/usr/bin/prometheus"

// Binary finds the program: in PATH, or where make put it.
func Binary() (string, error) {
	if found, err := exec.LookPath("prometheus"); err == nil {
		return found, nil
	}
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for Prometheus: %w", err)
	}
	for ; ; folder = filepath.Dir(folder) {
		if path := filepath.Join(folder, installed); executable(path) {
			return path, nil
		}
		if folder == filepath.Dir(folder) {
			return "", ErrNotInstalled
		}
	}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0
}

// Options say what to start.
type Options struct {
	Dir     string // for its configuration, figures and log; what is there is removed
	Address string // to listen on
	Target  string // host and port whose /metrics to scrape
}

// Server is one Prometheus.
type Server struct {
	address string
	cmd     *exec.Cmd
	gone    chan struct{} // closed when the process has ended
}

// Start starts a Prometheus and waits until it answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	if err := o.write(); err != nil {
		return nil, fmt.Errorf("starting Prometheus: %w", err)
	}
	log, err := os.Create(filepath.Join(o.Dir, "prometheus.log"))
	if err != nil {
		return nil, fmt.Errorf("starting Prometheus: %w", err)
	}
	s := &Server{address: o.Address, gone: make(chan struct{})}
	// Not bound to the context, which would kill it where Stop asks it to end.
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary,
		"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=1d", "--storage.tsdb.wal-compression",
		"--web.listen-address="+o.Address, "--log.level=warn")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = o.Dir, log, log
	wait, err := process.Begin(s.cmd)
	if err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("starting Prometheus: %w", err)
	}
	go func() {
		_ = wait() // its log tells how it ended
		_ = log.Close()
		close(s.gone)
	}()
	if err := s.await(ctx); err != nil {
		said, _ := os.ReadFile(filepath.Join(o.Dir, "prometheus.log"))
		return nil, errors.Join(fmt.Errorf("starting Prometheus: %w: %s", err, said[max(0, len(said)-500):]), s.Stop())
	}
	return s, nil
}

func (o Options) write() error {
	if err := os.RemoveAll(filepath.Join(o.Dir, "data")); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	// The exporter says itself which instance a figure is of.
	config := strings.NewReplacer("TARGET", o.Target).Replace(`global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: data-plane
    honor_labels: true
    static_configs: [{targets: [TARGET]}]
`)
	if err := os.WriteFile(filepath.Join(o.Dir, "rules.yml"), rules, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Dir, "prometheus.yml"), []byte(config), 0o600)
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyDeadline)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/-/ready", http.NoBody)
		if err != nil {
			return err
		}
		if reply, err := client.Do(request); err == nil {
			_ = reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.gone:
			return fmt.Errorf("it ended: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// URL is where it answers.
func (s *Server) URL() string { return "http://" + s.address }

// PID is the process's number.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends it.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	select {
	case <-s.gone:
		return nil
	case <-time.After(stopDeadline):
	}
	_ = s.cmd.Process.Kill()
	<-s.gone
	return nil
}
