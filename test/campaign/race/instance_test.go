package race

import (
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/anishathalye/porcupine"
)

// never is when a call returns that got no reply: it may take effect until then.
const never = math.MaxInt64

// Stages of a life, in their order. Within the living ones, and within the
// deletion, time alone moves an instance forward; from one to the other only a
// DELETE does.
var stages = []string{"accepted", "preparing", "provisioning", "ready", "deprovision", "deleting"}

const (
	lastLiving = 3
	inDeletion = 4
	gone       = 6
)

// life is what the model knows of one instance: its stage is at least this one.
type life struct {
	born   bool
	stage  int
	owner  string
	reauth bool
}

func (l life) living() bool { return l.born && l.stage <= lastLiving }

// glimpse is what one call did to one instance, or saw of it.
type glimpse struct {
	deed  *deed
	shown *sight // by the reply
}

// lifeModel says which calls a single instance can answer in which way.
var lifeModel = porcupine.Model{
	Init: func() any { return life{} },
	Step: func(state, input, _ any) (bool, any) {
		l, g := state.(life), input.(glimpse)
		if g.shown != nil {
			return l.shows(*g.shown)
		}
		switch g.deed.kind {
		case creates:
			return l.creation(g.deed)
		case patches:
			return l.patch(g.deed)
		case deletes:
			return l.deletion(g.deed)
		default: // it was looked for and not there
			return l.missing()
		}
	},
	DescribeOperation: func(input, _ any) string {
		g := input.(glimpse)
		if g.shown != nil {
			return fmt.Sprintf("%s saw %v", g.deed.kind, *g.shown)
		}
		if g.deed.kind == lists || g.deed.kind == searches {
			return g.deed.kind + " did not see it"
		}
		return g.deed.String()
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

func (l life) creation(d *deed) (bool, life) {
	if l.born {
		return d.unknown, l
	}
	return true, life{born: true, owner: d.user.name, reauth: true}
}

func (l life) shows(s sight) (bool, life) {
	stage := slices.Index(stages, s.Status)
	if !l.born || stage < l.stage || l.living() != (stage <= lastLiving) || s.Owner != l.owner || s.Reauth != l.reauth {
		return false, l
	}
	l.stage = stage
	return true, l
}

func (l life) missing() (bool, life) {
	if !l.born {
		return true, l
	}
	was := l.living()
	l.stage = gone
	return !was, l
}

// allows tells whether the user may change the instance.
func (l life) allows(p person) bool { return p.admin || p.name == l.owner }

func (l life) with(changes map[string]any) life {
	if owner, ok := changes["owner"]; ok {
		l.owner = owner.(string)
	}
	if reauth, ok := changes["reauthentication_enabled"]; ok {
		l.reauth = reauth.(bool)
	}
	return l
}

func (l life) patch(d *deed) (bool, life) {
	changed := l.with(d.changes)
	there := l.born && l.stage < gone
	switch {
	case d.unknown:
		if l.living() && l.allows(d.user) {
			return true, changed
		}
		return true, l
	case d.status == http.StatusOK:
		return there && l.allows(d.user) && (l.living() || changed == l), changed
	case d.status == http.StatusForbidden:
		return there && !l.allows(d.user), l
	case d.status == http.StatusBadRequest:
		return there && l.allows(d.user) && !l.living() && changed != l, l
	case d.status == http.StatusNotFound:
		return l.missing()
	}
	return false, l
}

func (l life) deletion(d *deed) (bool, life) {
	there := l.born && l.stage < gone
	allowed := there && l.allows(d.user)
	switch {
	case d.unknown && !allowed:
		return true, l
	case d.unknown || d.status == http.StatusAccepted:
		l.stage = max(l.stage, inDeletion)
		return allowed, l
	case d.status == http.StatusNotFound && there && !l.allows(d.user):
		return true, l
	case d.status == http.StatusNotFound:
		return l.missing()
	}
	return false, l
}

// operation is what porcupine takes: a deed with its times.
func operation(d *deed, input any) porcupine.Operation {
	back := d.back
	if d.unknown {
		back = never
	}
	return porcupine.Operation{ClientId: d.client, Input: input, Call: d.call, Return: back}
}

// lifeOf gives the part of a history that is about one instance.
func (h *history) lifeOf(id string, made *deed) []porcupine.Operation {
	all := []porcupine.Operation{operation(made, glimpse{deed: made})}
	for i := range h.deeds {
		d := &h.deeds[i]
		if d.user.org != made.user.org {
			continue
		}
		at := slices.IndexFunc(d.seen, func(s sight) bool { return s.ID == id })
		switch {
		case d.kind == patches && d.id == id, d.kind == deletes && d.id == id:
			all = append(all, operation(d, glimpse{deed: d}))
		case d.kind == gets && d.id == id && at < 0, d.kind == lists && at < 0, d.kind == searches && d.name == made.name && at < 0:
			all = append(all, operation(d, glimpse{deed: d}))
		}
		// What a creation shows is what it made; the pages of a list were read one after the other.
		if at >= 0 && d.kind != creates && d.kind != pages {
			all = append(all, operation(d, glimpse{deed: d, shown: &d.seen[at]}))
		}
	}
	return all
}
