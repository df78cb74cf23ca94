package emulator

import (
	"net/http"
	"regexp"
	"sync"
	"time"
)

// journalLimit keeps a sandbox that runs for days from growing: the oldest entries go first.
const journalLimit = 20000

// Entry is one request as the upstream saw it.
type Entry struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	Status int       `json:"status"` // 0: no reply yet, or none ever
	Effect bool      `json:"effect"` // the wrapped handler ran
	Fault  string    `json:"fault,omitempty"`
	Body   string    `json:"body,omitempty"` // of the request, without secrets
}

type journal struct {
	mu      sync.Mutex
	entries []*Entry
}

// begin notes the arrival, so that a call that hangs can be seen while it does.
func (j *journal) begin(r *http.Request, body []byte) *Entry {
	entry := &Entry{
		At: time.Now(), Method: r.Method, Path: r.URL.Path,
		Query: redactQuery(r.URL.RawQuery), Body: redactBody(r.Header.Get("Content-Type"), body),
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= journalLimit {
		j.entries = append([]*Entry{}, j.entries[journalLimit/10:]...)
	}
	j.entries = append(j.entries, entry)
	return entry
}

func (j *journal) note(entry *Entry, change func(*Entry)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(entry)
}

// Journal gives all requests in the order of their arrival.
func (e *Emulated) Journal() []Entry {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	all := make([]Entry, 0, len(e.journal.entries))
	for _, entry := range e.journal.entries {
		all = append(all, *entry)
	}
	return all
}

// JournalOf gives the requests of a method (empty: any) whose path fits the regular expression.
func (e *Emulated) JournalOf(method, pathPattern string) []Entry {
	path := regexp.MustCompile(pathPattern)
	found := []Entry{}
	for _, entry := range e.Journal() {
		if (method == "" || entry.Method == method) && path.MatchString(entry.Path) {
			found = append(found, entry)
		}
	}
	return found
}

// ClearJournal forgets all requests.
func (e *Emulated) ClearJournal() {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.journal.entries = nil
}
