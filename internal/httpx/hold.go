package httpx

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// A reply that is held is sent when it is whole. Then its length is known, its
// content has a tag, and a caller who has it already need not get it again. The
// handler is over by then: a client that reads slowly holds up nobody's turn.
const maxHeld = 1 << 20

// shelf keeps idle buffers.
type shelf struct{ idle sync.Pool }

func (s *shelf) take() *bytes.Buffer {
	if b, ok := s.idle.Get().(*bytes.Buffer); ok {
		return b
	}
	return &bytes.Buffer{}
}

func (s *shelf) give(b *bytes.Buffer) {
	b.Reset()
	s.idle.Put(b)
}

// heldBudget bounds what all replies on their way hold, and what those of one
// tenant do: a client need not read what it asked for. Beyond that a reply is sent
// as it is made, in its caller's turn.
type heldBudget struct {
	mu       sync.Mutex
	total    int
	byTenant map[string]int
}

const (
	heldInAll     = 64 << 20
	heldPerTenant = 16 << 20
	heldStep      = 64 << 10
)

func (b *heldBudget) take(tenant string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total+heldStep > heldInAll || b.byTenant[tenant]+heldStep > heldPerTenant {
		return false
	}
	if b.byTenant == nil {
		b.byTenant = map[string]int{}
	}
	b.total += heldStep
	b.byTenant[tenant] += heldStep
	return true
}

func (b *heldBudget) give(tenant string, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= bytes
	if b.byTenant[tenant] -= bytes; b.byTenant[tenant] == 0 {
		delete(b.byTenant, tenant)
	}
}

// afford makes room for so many bytes in the budget.
func (p *reply) afford(bytes int) bool {
	for p.granted < bytes {
		if !p.budget.take(p.tenant) {
			return false
		}
		p.granted += heldStep
	}
	return true
}

// repay ends what this reply holds of the budget.
func (p *reply) repay() {
	if p.granted > 0 {
		p.budget.give(p.tenant, p.granted)
		p.granted = 0
	}
}

// keep takes over a part of the body, or tells that it has to be sent.
func (p *reply) keep(b []byte) bool {
	if !p.hold || p.committed || p.status != 0 && p.status != http.StatusOK {
		return false
	}
	have := 0
	if p.held != nil {
		have = p.held.Len()
	}
	if have+len(b) > maxHeld || !p.afford(have+len(b)) {
		return false
	}
	if p.held == nil {
		p.held = p.shelf.take()
	}
	p.held.Write(b)
	return true
}

// release sends what was held, before more of the body comes or when it ends.
func (p *reply) release(whole bool) error {
	held := p.held
	if held == nil {
		return nil
	}
	p.held = nil
	defer p.shelf.give(held)
	if whole {
		tag := p.Header().Get("ETag")
		if tag == "" {
			tag = `W/"` + strconv.FormatUint(xxhash.Sum64(held.Bytes()), 36) + `"`
			p.Header().Set("ETag", tag)
		}
		if SameTag(p.asked, tag) {
			p.status = http.StatusNotModified
			p.Header().Del("Content-Type")
			p.commit(false)
			return nil
		}
		p.Header().Set("Content-Length", strconv.Itoa(held.Len()))
	}
	_, err := p.send(held.Bytes())
	return err
}

// SameTag reads If-None-Match: whether the caller has what the tag names. Tags are
// compared weakly: a body that was compressed on its way is the same one.
func SameTag(asked, tag string) bool {
	for _, one := range strings.Split(asked, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || one != "" && strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
