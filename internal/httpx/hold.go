package httpx

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// A reply that is held is sent when it is whole. Then its length is known, its
// content has a tag, and a caller who has it already need not get it again. The
// handler is over by then: a client that reads slowly holds up nobody's turn, nor
// does one whose body net/http waits for before it sends more than a few bytes.
const maxHeld = 1 << 20

// Beyond these a reply is sent as it is made, in its caller's turn.
const (
	heldInAll     = 64 << 20
	heldPerTenant = 16 << 20
)

// keep takes over a part of the body, or tells that it has to be sent.
func (p *reply) keep(b []byte) bool {
	if !p.hold || p.committed {
		return false
	}
	have := 0
	if p.held != nil {
		have = p.held.Len()
	}
	if have+len(b) > maxHeld || !p.room.afford(have+len(b)) {
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
		if p.had(held.Bytes()) {
			p.negotiate(held.Len()) // the tag is that of 200
			p.status = http.StatusNotModified
			p.Header().Del("Content-Type")
			p.commit(0)
			return nil
		}
		p.Header().Set("Content-Length", strconv.Itoa(held.Len()))
	}
	_, err := p.send(held.Bytes())
	return err
}

// had gives a good reply its tag, and tells whether the caller has it already.
func (p *reply) had(body []byte) bool {
	if p.status != 0 && p.status != http.StatusOK {
		return false
	}
	tag := p.Header().Get("ETag")
	if tag == "" {
		tag = `W/"` + strconv.FormatUint(xxhash.Sum64(body), 36) + `"`
		p.Header().Set("ETag", tag)
	}
	return SameTag(p.asked, tag)
}

// SameTag reads If-None-Match: whether the caller has what the tag names. Tags are
// compared weakly: a body that was compressed on its way is the same one.
func SameTag(asked, tag string) bool {
	if strings.TrimSpace(asked) == "*" {
		return true
	}
	for _, one := range strings.Split(asked, ",") {
		one = strings.TrimSpace(one)
		if one != "" && strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
