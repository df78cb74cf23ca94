package race

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// What a deed may be.
const (
	creates  = "create"
	gets     = "get"
	lists    = "list"   // on one page
	pages    = "pages"  // page by page
	searches = "search" // by name
	patches  = "patch"
	deletes  = "delete"
)

// deed is one call of a client and what came of it.
type deed struct {
	client     int
	kind       string
	user       person
	id, name   string // what it was about
	changes    map[string]any
	call, back int64
	unknown    bool // no reply came
	status     int
	code       string
	seen       []sight // what the reply showed
}

// sight is an instance as a reply showed it.
type sight struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Owner  string `json:"owner"`
	Reauth bool   `json:"reauthentication_enabled"`
}

// person is a user of an organisation.
type person struct {
	name, org string
	admin     bool
}

var people = []person{
	{harness.Alice, harness.Organisation, false},
	{harness.Bob, harness.Organisation, false},
	{harness.Carol, harness.Organisation, true},
	{harness.Alice, harness.Organisation, false},
	{harness.Bob, harness.Organisation, false},
	{harness.Dave, harness.LimitedOrganisation, false},
	{harness.Erin, harness.LimitedOrganisation, false},
	{harness.Mallory, harness.StrangeOrganisation, true},
}

// history is what all clients of one round did.
type history struct {
	t        *testing.T
	w        *harness.World
	prefix   string // of all names
	began    time.Time
	callers  map[string]*harness.Caller
	goal     int           // deeds
	reached  chan struct{} // closed when half of them are done
	replicas func() []*harness.Replica

	mu    sync.Mutex
	deeds []deed
	known map[string][]string // ids by organisation, in the order in which they were learnt
	cut   map[string]bool     // organisation/name of creations that were cut off
	asked int
	half  sync.Once
}

func newHistory(t *testing.T, w *harness.World, prefix string, replicas func() []*harness.Replica) *history {
	h := &history{
		t: t, w: w, prefix: prefix, began: time.Now(), goal: deedsOfAHistory, reached: make(chan struct{}), replicas: replicas,
		callers: map[string]*harness.Caller{}, known: map[string][]string{}, cut: map[string]bool{},
	}
	for _, p := range people {
		h.callers[p.name] = w.As(p.name)
	}
	return h
}

// run lets all clients work until the goal is reached.
func (h *history) run(seed *rand.Rand) {
	var working sync.WaitGroup
	for n, who := range people {
		random := rand.New(rand.NewPCG(seed.Uint64(), uint64(n)))
		working.Go(func() {
			for h.ask() {
				h.act(random, n, who)
			}
		})
	}
	working.Wait()
}

func (h *history) ask() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked++; h.asked == h.goal/2 {
		h.half.Do(func() { close(h.reached) })
	}
	return h.asked <= h.goal
}

// target is one of the instances that the organisation learnt of last.
func (h *history) target(r *rand.Rand, org string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.known[org]
	if len(all) == 0 {
		return ""
	}
	recent := all[max(0, len(all)-5):]
	return recent[r.IntN(len(recent))]
}

func (h *history) learn(org, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, old := range h.known[org] {
		if old == id {
			return
		}
	}
	h.known[org] = append(h.known[org], id)
}

// act makes one call and notes it.
func (h *history) act(r *rand.Rand, client int, who person) {
	d := deed{client: client, user: who, name: h.prefix + "-" + strconv.Itoa(r.IntN(3)), id: h.target(r, who.org)}
	switch draw := r.IntN(100); {
	case d.id == "" || draw < 22:
		d.kind, d.id = creates, ""
	case draw < 40:
		d.kind = gets
	case draw < 50:
		d.kind = lists
	case draw < 56:
		d.kind = pages
	case draw < 66:
		d.kind = searches
	case draw < 84:
		d.kind, d.changes = patches, changesOf(r, who)
	default:
		d.kind = deletes
	}
	d.name = map[bool]string{true: d.name}[d.kind == creates || d.kind == searches]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	if (d.kind == creates || d.kind == patches || d.kind == deletes) && r.IntN(20) == 0 && h.mayCut(d) {
		cancel()
		ctx, cancel = context.WithTimeout(context.Background(), time.Duration(r.IntN(12_000))*time.Microsecond)
	}
	defer cancel()
	all := h.replicas()
	caller := h.callers[who.name].At(all[r.IntN(len(all))])
	d.call = time.Since(h.began).Nanoseconds()
	counts := h.send(ctx, caller, &d)
	d.back = time.Since(h.began).Nanoseconds()
	for _, s := range d.seen {
		h.learn(who.org, s.ID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !counts {
		h.asked-- // another one in its place
		return
	}
	h.deeds = append(h.deeds, d)
}

// mayCut lets at most one creation of a name be cut off: were there two, nobody
// could tell which of them made an instance that appears.
func (h *history) mayCut(d deed) bool {
	if d.kind != creates {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := d.user.org + "/" + d.name
	was := h.cut[key]
	h.cut[key] = true
	return !was
}

func changesOf(r *rand.Rand, who person) map[string]any {
	changes := map[string]any{}
	if r.IntN(2) == 0 {
		changes["reauthentication_enabled"] = r.IntN(2) == 0
	}
	if len(changes) == 0 || r.IntN(4) == 0 {
		for {
			if p := people[r.IntN(len(people))]; p.org == who.org {
				changes["owner"] = p.name
				break
			}
		}
	}
	return changes
}

// send makes the call, and tells whether it can have had an effect or seen one.
func (h *history) send(ctx context.Context, c *harness.Caller, d *deed) bool {
	var reply harness.Response
	var err error
	switch d.kind {
	case creates:
		reply, err = c.Try(ctx, http.MethodPost, "/kafkas?async=true", harness.Order{Name: d.name})
	case gets:
		reply, err = c.Try(ctx, http.MethodGet, "/kafkas/"+d.id, nil)
	case lists:
		reply, err = c.Try(ctx, http.MethodGet, "/kafkas?size=500", nil)
	case pages:
		return h.sendPages(ctx, c, d)
	case searches:
		reply, err = c.Try(ctx, http.MethodGet, "/kafkas?"+harness.Query("search", "name = '"+d.name+"'"), nil)
	case patches:
		reply, err = c.Try(ctx, http.MethodPatch, "/kafkas/"+d.id, d.changes)
	case deletes:
		reply, err = c.Try(ctx, http.MethodDelete, "/kafkas/"+d.id+"?async=true", nil)
	}
	if err != nil || outOfTime(reply.Status, time.Since(h.began).Nanoseconds()-d.call) {
		d.unknown = d.kind == creates || d.kind == patches || d.kind == deletes
		return d.unknown && !errors.Is(err, syscall.ECONNREFUSED)
	}
	d.status, d.code = reply.Status, reply.Error().Code
	if d.seen, err = sights(*d, reply); err != nil {
		h.t.Errorf("%s: %v", d, err)
	}
	return true
}

// sendPages reads the list three rows at a time, until a page is not full.
func (h *history) sendPages(ctx context.Context, c *harness.Caller, d *deed) bool {
	const size = 3
	d.status = http.StatusOK
	for page := 1; ; page++ {
		reply, err := c.Try(ctx, http.MethodGet, fmt.Sprintf("/kafkas?size=%d&page=%d", size, page), nil)
		if err != nil || reply.Status != http.StatusOK {
			d.status = reply.Status
			return err == nil && !outOfTime(reply.Status, time.Since(h.began).Nanoseconds()-d.call)
		}
		found, err := sights(*d, reply)
		if err != nil {
			h.t.Errorf("%s: %v", d, err)
			return false
		}
		d.seen = append(d.seen, found...)
		if len(found) < size {
			return true
		}
	}
}

func sights(d deed, reply harness.Response) ([]sight, error) {
	if reply.Status >= http.StatusBadRequest || d.kind == deletes {
		return nil, nil
	}
	var body struct {
		sight
		Items []sight `json:"items"`
	}
	if err := json.Unmarshal(reply.Body, &body); err != nil {
		return nil, err
	}
	if d.kind == lists || d.kind == pages || d.kind == searches {
		return body.Items, nil
	}
	return []sight{body.sight}, nil
}

// String is how a failure shows a deed.
func (d *deed) String() string {
	result := fmt.Sprintf("%d %s %v", d.status, d.code, d.seen)
	if d.unknown {
		result = "?"
	}
	return fmt.Sprintf("%s by %s of %s%s %v -> %s", d.kind, d.user.name, d.id, d.name, d.changes, result)
}
