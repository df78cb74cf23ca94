package faultproxy

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Point is where a connection is cut.
type Point int

// The points. Those of a commit look at the whole transaction, the others at one
// statement.
const (
	BeforeCommit    Point = iota // COMMIT never reaches the server
	AfterCommit                  // the server has committed, its reply is lost
	BeforeStatement              // the statement never reaches the server
	AfterStatement               // the server has run it, its reply is lost
)

func (p Point) String() string {
	return [...]string{"before COMMIT", "after COMMIT", "before the statement", "after the statement"}[p]
}

// Cut describes one cut. A statement is matched as its text, two dashes and its
// parameters in quotes, those that are no text left out.
type Cut struct {
	At    Point
	Match *regexp.Regexp // of the statement, or of one in the transaction; nil: any
	Nth   int            // cut at the n-th that matches, and at all that follow; 0 is the first
	Times int            // 0: once; below 0: until Disarm
	Mute  bool           // the connection stays open and says nothing more, instead of a reset
}

// Trap is a cut that waits for its prey.
type Trap struct {
	cut   Cut
	proxy *Proxy

	mu      sync.Mutex
	settled sync.Cond // with mu: a taken one has fired or failed
	met     int       // matches
	sprung  int       // taken; the last may not have ended yet
	fired   int
	failed  int // taken, but the connection ended before its time
	removed bool
}

// Trap arms a cut.
func (p *Proxy) Trap(c Cut) *Trap {
	t := &Trap{cut: c, proxy: p}
	t.settled.L = &t.mu
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = append(p.traps, t)
	return t
}

// Fired tells how many connections were cut. It waits for one that is taken: others
// see what a COMMIT did before its reply is lost.
func (t *Trap) Fired() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.fired+t.failed < t.sprung {
		t.settled.Wait()
	}
	return t.fired
}

// Disarm ends the trap.
func (t *Trap) Disarm() {
	t.mu.Lock()
	t.removed = true
	t.mu.Unlock()
	t.proxy.mu.Lock()
	defer t.proxy.mu.Unlock()
	t.proxy.traps = slices.DeleteFunc(t.proxy.traps, func(other *Trap) bool { return other == t })
}

// take tells whether the trap springs at a statement that ends (or is) these.
func (t *Trap) take(commit bool, statements []string) bool {
	if commit != (t.cut.At == BeforeCommit || t.cut.At == AfterCommit) {
		return false
	}
	fits := t.cut.Match == nil || slices.ContainsFunc(statements, t.cut.Match.MatchString)
	t.mu.Lock()
	defer t.mu.Unlock()
	spent := t.cut.Times >= 0 && t.sprung >= max(t.cut.Times, 1)
	if !fits || t.removed || spent {
		return false
	}
	if t.met++; t.met < t.cut.Nth {
		return false
	}
	t.sprung++
	return true
}

func (t *Trap) fire() { t.settle(&t.fired) }

func (t *Trap) fail() { t.settle(&t.failed) }

func (t *Trap) settle(count *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*count++
	t.settled.Broadcast()
}

// before tells whether the statement must not reach the server.
func (t *Trap) before() bool { return t.cut.At == BeforeCommit || t.cut.At == BeforeStatement }

// spring gives the trap that a statement meets, or nil.
func (p *Proxy) spring(statement string, transaction []string) *Trap {
	p.mu.Lock()
	traps := slices.Clone(p.traps)
	p.mu.Unlock()
	commit := strings.EqualFold(strings.TrimRight(strings.TrimSpace(statement), ";"), "commit")
	judged := []string{statement}
	if commit {
		judged = transaction
	}
	for _, t := range traps {
		if t.take(commit, judged) {
			return t
		}
	}
	return nil
}
