package race

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/anishathalye/porcupine"
)

// holder is who has a name in an organisation. Once its deletion was asked for,
// time alone may make the name free.
type holder struct {
	id      string
	leaving bool
}

func (h holder) maybeFree() bool { return h.id == "" || h.leaving }

// claim is what one call did to a name, or saw of it.
type claim struct {
	deed  *deed
	id    string // the instance it made or saw; empty: none
	shown *sight
}

// nameModel says which calls a single name can answer in which way.
var nameModel = porcupine.Model{
	Init: func() any { return holder{} },
	Step: func(state, input, _ any) (bool, any) {
		h, c := state.(holder), input.(claim)
		switch {
		case c.shown != nil:
			leaving := slices.Index(stages, c.shown.Status) >= inDeletion
			return h == holder{id: c.id, leaving: leaving}, h
		case c.deed.kind == creates:
			return h.taken(c)
		case c.deed.kind == deletes:
			if h.id != c.id {
				return c.deed.unknown, h
			}
			h.leaving = true
			return true, h
		case c.deed.kind == gets: // 404
			if h.id != c.id {
				return true, h
			}
			return h.leaving, holder{}
		default: // nobody has it
			return h.maybeFree(), holder{}
		}
	},
	DescribeOperation: func(input, _ any) string {
		c := input.(claim)
		if c.shown != nil {
			return fmt.Sprintf("%s saw %v", c.deed.kind, *c.shown)
		}
		if c.deed.kind == lists || c.deed.kind == searches {
			return c.deed.kind + " saw nobody"
		}
		return c.deed.String()
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

func (h holder) taken(c claim) (bool, holder) {
	switch {
	case c.deed.unknown && !h.maybeFree():
		return true, h
	case c.deed.unknown || c.deed.status == http.StatusAccepted:
		return h.maybeFree(), holder{id: c.id}
	}
	return h.id != "", h // 409
}

// nameOf gives the part of a history that is about one name. made are the
// instances that had it, by id.
func (h *history) nameOf(org, name string, made map[string]*deed) []porcupine.Operation {
	var all []porcupine.Operation
	add := func(d *deed, c claim) {
		c.deed = d
		all = append(all, operation(d, c))
	}
	for i := range h.deeds {
		d := &h.deeds[i]
		if d.user.org != org {
			continue
		}
		at := slices.IndexFunc(d.seen, func(s sight) bool { return s.Name == name })
		_, ours := made[d.id]
		switch {
		case d.kind == creates && d.name == name:
			add(d, claim{id: idMade(d, made)})
		case d.kind == deletes && ours && (d.unknown || d.status == http.StatusAccepted):
			add(d, claim{id: d.id})
		case d.kind == gets && ours && d.status == http.StatusNotFound:
			add(d, claim{id: d.id})
		case at >= 0 && d.kind != pages:
			add(d, claim{id: d.seen[at].ID, shown: &d.seen[at]})
		case d.kind == lists, d.kind == searches && d.name == name:
			add(d, claim{})
		}
	}
	return all
}

// idMade is the instance that a creation made. Of one that nobody ever saw only
// its number is known.
func idMade(d *deed, made map[string]*deed) string {
	for id, by := range made {
		if by == d {
			return id
		}
	}
	return fmt.Sprintf("unseen %d of %d", d.call, d.client)
}
