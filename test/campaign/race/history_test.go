package race

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const (
	replicas = 3
	// deedsOfAHistory is how many calls the clients of one round make.
	deedsOfAHistory = 600
	// roundsOfAWorld bounds what one world has to remember.
	roundsOfAWorld = 20
	// leastRate and leastOverlap are what a history must have to say anything: calls
	// in a second, and calls that met another one on the same name or instance.
	leastRate    = 50
	leastOverlap = 60
	// checking bounds one check. A history that it cannot judge in this time counts as wrong.
	checking = time.Minute
)

const plenty = `
registered_users_per_organisation:
- {id: "` + harness.Organisation + `", any_user: true, max_allowed_instances: 1000}
- {id: "` + harness.LimitedOrganisation + `", any_user: true, max_allowed_instances: 1000}
- {id: "` + harness.StrangeOrganisation + `", any_user: true, max_allowed_instances: 1000}
`

// Eight clients at three replicas, one of which is replaced in the middle of every
// second history.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 3, Full: 500})
	var rounds []int
	meant := 0 // rounds that say something
	for i := range run.Rounds() {
		rounds = append(rounds, i)
	}
	for block := range slices.Chunk(rounds, roundsOfAWorld) {
		t.Run(fmt.Sprintf("from round %d", block[0]), func(t *testing.T) {
			w := harness.New(t, harness.Replicas(replicas), harness.QuotaList(plenty), harness.Set("reconciler-repeat-interval", "200ms"), harness.Faulty())
			fleet := newFleet(w)
			for _, i := range block {
				if fleet.history(t, run, i) {
					meant++
				}
				if t.Failed() {
					t.Fatalf("round %d failed; again alone: CAMPAIGN_SEED=%d CAMPAIGN_ROUND=%d", i, run.Seed, i)
				}
			}
		})
	}
	// A busy machine is no reason to fail the tests, but then a campaign has not been run.
	if run.Full && !t.Failed() && meant < (len(rounds)+1)/2 {
		t.Errorf("only %d of %d histories say anything: too few calls in a second, or too few that met", meant, len(rounds))
	}
}

// history runs and judges one round, and tells whether it says anything.
func (f *fleet) history(t *testing.T, run campaign.Run, round int) bool {
	t.Helper()
	h := newHistory(t, f.w, fmt.Sprintf("h%d", round), f.running)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run(run.Rand(round))
	}()
	if round%2 == 1 {
		<-h.reached
		f.replace(round)
	}
	<-done
	h.finish()
	made := h.origins()
	h.check(round, made)
	h.clear()
	return h.says(run, round, len(made))
}

// finish lets everybody look once more, so that what nobody saw is seen.
func (h *history) finish() {
	for n, who := range people {
		d := deed{client: n, kind: lists, user: who, call: time.Since(h.began).Nanoseconds()}
		var list struct{ Items []sight }
		h.callers[who.name].Do(http.MethodGet, "/kafkas?size=500", nil).Must(http.StatusOK).Into(&list)
		d.seen, d.status, d.back = list.Items, http.StatusOK, time.Since(h.began).Nanoseconds()
		h.deeds = append(h.deeds, d)
	}
}

// clear deletes what is left, for the next history.
func (h *history) clear() {
	for _, d := range h.deeds[len(h.deeds)-len(people):] {
		for _, s := range d.seen {
			h.callers[d.user.name].Do(http.MethodDelete, "/kafkas/"+s.ID+"?async=true", nil)
		}
	}
}

// origins finds the deed that made each instance of this history.
func (h *history) origins() map[string]*deed {
	made, lost := map[string]*deed{}, map[string][]*deed{}
	for i := range h.deeds {
		d := &h.deeds[i]
		switch {
		case d.kind == creates && d.status == http.StatusAccepted:
			made[d.seen[0].ID] = d
		case d.kind == creates && d.unknown:
			lost[d.user.org+"/"+d.name] = append(lost[d.user.org+"/"+d.name], d)
		}
	}
	for i := range h.deeds {
		for _, s := range h.deeds[i].seen {
			if made[s.ID] != nil || !strings.HasPrefix(s.Name, h.prefix+"-") {
				continue
			}
			key := h.deeds[i].user.org + "/" + s.Name
			if len(lost[key]) == 0 {
				h.t.Errorf("%v was seen, and nobody ordered it", s)
				continue
			}
			made[s.ID], lost[key] = lost[key][0], lost[key][1:]
		}
	}
	return made
}

// check holds each instance, each name and each list against its model.
func (h *history) check(round int, made map[string]*deed) {
	names := map[string]map[string]*deed{}
	for id, d := range made {
		key := d.user.org + "/" + d.name
		if names[key] == nil {
			names[key] = map[string]*deed{}
		}
		names[key][id] = d
		draw(h.t, lifeModel, fmt.Sprintf("round %d, instance %s", round, id), h.lifeOf(id, d))
	}
	for _, org := range []string{harness.Organisation, harness.LimitedOrganisation, harness.StrangeOrganisation} {
		for n := range 3 {
			name := fmt.Sprintf("%s-%d", h.prefix, n)
			draw(h.t, nameModel, fmt.Sprintf("round %d, name %s of %s", round, name, org), h.nameOf(org, name, names[org+"/"+name]))
		}
	}
	h.checkStatuses()
	h.checkPages(made)
}

// says tells whether there was enough of everything for the history to mean
// something, and counts it.
func (h *history) says(run campaign.Run, round, instances int) bool {
	last := slices.MaxFunc(h.deeds, func(a, b deed) int { return cmp.Compare(a.back, b.back) })
	rate := float64(len(h.deeds)) / time.Duration(last.back).Seconds()
	overlaps, unknown := h.overlaps()
	h.t.Logf("round %d: %d calls, %.0f in a second, %d met another, %d without a reply, %d instances", round, len(h.deeds), rate, overlaps, unknown, instances)
	enough := rate >= leastRate && overlaps >= leastOverlap
	if !enough {
		run.Count("void", 1)
		return false
	}
	run.Count("histories", 1)
	run.Count("calls", len(h.deeds))
	run.Count("instances", instances)
	run.Count("overlapping", overlaps)
	run.Count("unknown", unknown)
	return true
}

// draw fails the test when the operations fit no order, and draws them.
func draw(t *testing.T, model porcupine.Model, what string, operations []porcupine.Operation) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(model, operations, checking)
	if result == porcupine.Ok {
		return
	}
	path := filepath.Join(os.TempDir(), strings.NewReplacer(" ", "-", ",", "").Replace(what)+".html")
	err := porcupine.VisualizePath(model, info, path)
	t.Errorf("%s is not linearizable (%s); it is drawn in %s %v", what, result, path, err)
}

// checkStatuses demands that no call failed in a way that the models do not know.
func (h *history) checkStatuses() {
	usual := map[string][]int{
		creates: {202, 409}, gets: {200, 404}, lists: {200}, pages: {200}, searches: {200}, patches: {200, 400, 403, 404}, deletes: {202, 404},
	}
	for i := range h.deeds {
		if d := &h.deeds[i]; !d.unknown && !slices.Contains(usual[d.kind], d.status) {
			h.t.Errorf("%s", d)
		}
	}
}

// checkPages holds lists that were read page by page against what must be in
// them: whatever was there before and whose deletion had not begun when they
// ended. Pages are counted from the beginning of the list, so each row that
// vanishes while they are read may hide one other.
func (h *history) checkPages(made map[string]*deed) {
	begins, ends := map[string]int64{}, map[string]int64{} // of deletions; absences
	for i := range h.deeds {
		d := &h.deeds[i]
		if d.kind == deletes && (d.unknown || d.status == http.StatusAccepted) {
			if at, ok := begins[d.id]; !ok || d.call < at {
				begins[d.id] = d.call
			}
		}
		if d.kind == gets && d.status == http.StatusNotFound {
			if at, ok := ends[d.id]; !ok || d.back < at {
				ends[d.id] = d.back
			}
		}
	}
	for i := range h.deeds {
		d := &h.deeds[i]
		if d.kind != pages {
			continue
		}
		lacking, vanishing := []string{}, 0
		for _, s := range d.seen {
			if !strings.HasPrefix(s.Name, h.prefix+"-") {
				vanishing++ // what the history before left is on its way out
			}
		}
		for id, by := range made {
			if by.user.org != d.user.org {
				continue
			}
			begun, leaving := begins[id]
			leaving = leaving && begun < d.back
			end, ended := ends[id]
			if leaving && (!ended || end > d.call) {
				vanishing++
			}
			there := !by.unknown && by.back < d.call && !leaving
			if there && !slices.ContainsFunc(d.seen, func(s sight) bool { return s.ID == id }) {
				lacking = append(lacking, id)
			}
		}
		if len(lacking) > vanishing {
			h.t.Errorf("a list by page lacks %v though at most %d instances went meanwhile: %s", lacking, vanishing, d)
		}
	}
}

// overlaps counts the deeds that met another one on the same name or instance,
// and those without a reply.
func (h *history) overlaps() (met, unknown int) {
	for i := range h.deeds {
		a := &h.deeds[i]
		if a.unknown {
			unknown++
		}
		for j := range h.deeds {
			b := &h.deeds[j]
			same := a.id != "" && a.id == b.id || a.name != "" && a.name == b.name && a.user.org == b.user.org
			if i != j && same && a.call < b.back && b.call < a.back {
				met++
				break
			}
		}
	}
	return met, unknown
}

// fleet knows which replicas take calls.
type fleet struct {
	w   *harness.World
	all chan []*harness.Replica
}

func newFleet(w *harness.World) *fleet {
	f := &fleet{w: w, all: make(chan []*harness.Replica, 1)}
	var all []*harness.Replica
	for i := range replicas {
		all = append(all, w.Replica(i))
	}
	f.all <- all
	return f
}

func (f *fleet) running() []*harness.Replica {
	all := <-f.all
	f.all <- all
	return all
}

// replace stops a replica while it is called, and starts another.
func (f *fleet) replace(n int) {
	old := f.running()[n%replicas]
	old.Stop()
	fresh := f.w.StartReplica()
	all := slices.Clone(<-f.all)
	all[slices.Index(all, old)] = fresh
	f.all <- all
}

func TestTheModelsRefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	alice := person{name: harness.Alice, org: harness.Organisation}
	at := func(call, back int64, d deed) *deed {
		d.user, d.call, d.back = alice, call, back
		return &d
	}
	ready := sight{ID: "1", Name: "a", Status: "ready", Owner: harness.Alice, Reauth: true}
	born := at(0, 1, deed{kind: creates, name: "a", status: 202, seen: []sight{ready}})
	deleted := at(2, 3, deed{kind: deletes, id: "1", status: 202})
	again := at(4, 5, deed{kind: gets, id: "1", status: 200, seen: []sight{ready}})
	sees := func(d *deed) porcupine.Operation { return operation(d, glimpse{deed: d, shown: &d.seen[0]}) }
	does := func(d *deed) porcupine.Operation { return operation(d, glimpse{deed: d}) }
	require.True(t, porcupine.CheckOperations(lifeModel, []porcupine.Operation{does(born), sees(again)}))
	require.False(t, porcupine.CheckOperations(lifeModel, []porcupine.Operation{does(born), does(deleted), sees(again)}), "a deletion is undone")
	lost := *deleted
	lost.unknown = true
	require.True(t, porcupine.CheckOperations(lifeModel, []porcupine.Operation{does(born), does(&lost), sees(again)}), "it may not have happened yet")
	missed := at(6, 7, deed{kind: gets, id: "1", status: 404})
	require.False(t, porcupine.CheckOperations(lifeModel, []porcupine.Operation{does(born), does(missed)}), "what lives is found")
	second := at(4, 5, deed{kind: creates, name: "a", status: 202})
	take := func(d *deed, id string) porcupine.Operation { return operation(d, claim{deed: d, id: id}) }
	require.False(t, porcupine.CheckOperations(nameModel, []porcupine.Operation{take(born, "1"), take(second, "2")}), "a name is given twice")
	require.True(t, porcupine.CheckOperations(nameModel, []porcupine.Operation{take(born, "1"), take(deleted, "1"), take(second, "2")}))
}
