package harness

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// logs keeps what all replicas of a world log.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write takes one line.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// tail gives the last lines, but for those of the agents' steady asking.
func (l *logs) tail(n int) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(l.String()), "\n"), func(line string) bool {
		return strings.Contains(line, `"action":"get-dataplane-cluster-config"`) || strings.Contains(line, `"action":"list-dataplane-kafkas"`)
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Log gives everything that the replicas have logged, at the level debug.
func (w *World) Log() string { return w.logs.String() }

// secrets are texts that must never be in a log, with what each is.
type secrets struct {
	mu    sync.Mutex
	known map[string]string
}

func newSecrets() *secrets {
	s := &secrets{known: map[string]string{}}
	for what, text := range map[string]string{
		"the SSO administrator's secret": adminSecret, "the OCM client's secret": ocmSecret, "the DNS account's secret": awsSecret,
	} {
		s.add(what, text)
	}
	return s
}

func (s *secrets) add(what, text string) {
	if len(text) < 8 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[text] = what
	// A token whose signature is hidden is worth nothing; the rest of it may be shown.
	if parts := strings.Split(text, "."); len(parts) == 3 {
		s.known[parts[2]] = what
		delete(s.known, text)
	}
}

// in tells which secrets a text holds.
func (s *secrets) in(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for secret, what := range s.known {
		if at := strings.Index(text, secret); at >= 0 {
			line := text[strings.LastIndexByte(text[:at], '\n')+1:]
			line, _, _ = strings.Cut(line, "\n")
			found = append(found, fmt.Sprintf("%s in: %s", what, strings.ReplaceAll(line, secret, "<here>")))
		}
	}
	return found
}

// Secrets tells how many secrets the log is searched for at the end.
func (w *World) Secrets() int {
	w.secrets.mu.Lock()
	defer w.secrets.mu.Unlock()
	return len(w.secrets.known)
}

// Hide adds a secret to those that the log is searched for at the end.
func (w *World) Hide(what, text string) { w.secrets.add(what, text) }
