package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// sequence is one run of steps with instances of its own.
type sequence struct {
	*stage
	t        *rapid.T
	all      []*instance // model
	places   map[string]string
	versions map[string]int64  // of rows, at the last look
	were     map[string]string // the clusters of rows, then
	lists    map[string]listing
	ready    map[string]bool // clusters
	sent     []batch
	stamped  time.Time
	began    time.Time
	steps    int
}

// batch is what one report said, to be repeated.
type batch struct {
	from    string
	reports map[string]report
}

func (s *stage) begin(t *rapid.T) *sequence {
	s.login()
	return &sequence{
		stage: s, t: t, places: map[string]string{}, versions: map[string]int64{}, were: map[string]string{}, lists: map[string]listing{}, began: time.Now(),
		ready: map[string]bool{harness.ClusterOne: true, harness.ClusterTwo: true},
	}
}

// now gives times that only grow.
func (q *sequence) now() time.Time {
	at := time.Now().UTC().Truncate(time.Microsecond)
	if !at.After(q.stamped) {
		at = q.stamped.Add(time.Microsecond)
	}
	q.stamped = at
	return at
}

func (q *sequence) usable() []string {
	return slices.DeleteFunc(clusterIDs(), func(c string) bool { return !q.ready[c] })
}

// present are the instances that are there, and one that was.
func (q *sequence) present() []*instance {
	var out []*instance
	var over *instance
	for _, k := range q.all {
		if k.status == ending {
			over = k
			continue
		}
		out = append(out, k)
	}
	if over != nil {
		out = append(out, over)
	}
	return out
}

// pick draws one of them.
func (q *sequence) pick() *instance {
	present := q.present()
	if len(present) == 0 {
		return nil
	}
	return present[rapid.IntRange(0, most).Draw(q.t, "who")%len(present)]
}

// outcome is what may have become of an instance, and the replies that go with it.
type outcome struct {
	instance instance
	replies  []int
}

// after gives the outcomes of acts that happened in one of the orders, with or
// without a pause between them in which loops get their turn.
func (q *sequence) after(k instance, acts ...func(*instance) int) []outcome {
	orders := [][]int{{0}}
	if len(acts) == 2 {
		orders = [][]int{{0, 1}, {1, 0}}
	}
	var out []outcome
	for _, order := range orders {
		for _, pause := range []bool{true, false} {
			o := outcome{instance: k.copy(), replies: make([]int, len(acts))}
			for _, n := range order {
				o.replies[n] = acts[n](&o.instance)
				if pause {
					o.instance.settle(q.usable())
				}
			}
			o.instance.settle(q.usable())
			out = append(out, o)
		}
	}
	return out
}

// expect waits until everything has happened and demands one of the outcomes.
func (q *sequence) expect(k *instance, replies []int, outcomes []outcome) {
	possible := slices.DeleteFunc(outcomes, func(o outcome) bool { return !o.answers(replies) })
	if len(possible) == 0 {
		q.t.Fatalf("%s (%s) answered %v, which fits none of %v", k.id, k.status, replies, outcomes)
	}
	limit := time.NewTimer(harness.Patience)
	defer limit.Stop()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for hurried := false; ; {
		seen, row, quiet := q.look(k.id)
		for _, o := range possible {
			if len(o.instance.differences(seen)) == 0 {
				q.judgePlacement(k, o.instance, row)
				*k = o.instance
				return
			}
		}
		if unplaced := row.Status == kafka.Provisioning && row.ClusterID == ""; quiet && unplaced && !hurried {
			q.hurry(k.id)
			hurried, quiet = true, false
		}
		if quiet {
			q.t.Fatalf("%s is not as it should be (wanted, found): %s", k.id, strings.Join(possible[0].instance.differences(seen), "; "))
		}
		select {
		case <-tick.C:
		case <-limit.C:
			q.t.Fatalf("%s came to no end: %+v, wanted %+v", k.id, seen, possible[0].instance)
		}
	}
}

// answers tells whether the replies go with the outcome. What is ending may be
// gone, and then is not found.
func (o outcome) answers(replies []int) bool {
	for n, got := range replies {
		if got != o.replies[n] && !(o.instance.status == ending && got == http.StatusNotFound) {
			return false
		}
	}
	return true
}

// judgePlacement demands a new placement id for each new placement, and else the old one.
func (q *sequence) judgePlacement(before *instance, now instance, row kafka.Kafka) {
	if now.status == ending || now.cluster == "" {
		return
	}
	placements := func(events []string) (n int) {
		for _, e := range events {
			if e == "prepared" || e == "rejected" || e == "reassigned" {
				n++
			}
		}
		return n
	}
	moved := q.places[before.id] == "" || placements(now.events) != placements(before.events)
	if changed := q.places[before.id] != row.PlacementID; changed != moved || row.PlacementID == "" {
		q.t.Fatalf("%s has the placement %q after %q, with %v after %v", before.id, row.PlacementID, q.places[before.id], now.events, before.events)
	}
	q.places[before.id] = row.PlacementID
}

// agree holds what customers and agents are shown against the model.
func (q *sequence) agree() {
	wanted := map[string][]shown{}
	changed := map[string]bool{}
	for _, k := range slices.SortedFunc(slices.Values(q.all), func(a, b *instance) int { return strings.Compare(a.id, b.id) }) {
		row := q.w.Row(k.id)
		changed[k.cluster] = changed[k.cluster] || q.versions[k.id] != row.Version || k.unreadable
		if was := q.were[k.id]; was != k.cluster {
			changed[was] = true // one that its list did not show may have gone
		}
		q.versions[k.id], q.were[k.id] = row.Version, k.cluster
		q.agreeCustomer(k)
		if k.cluster == "" || k.status == ending || k.unreadable && k.status != deprovision {
			continue
		}
		wanted[k.cluster] = append(wanted[k.cluster], shown{
			id: k.id, placement: q.places[k.id], owner: k.owner, host: k.host(),
			deleted: k.status == deprovision, suspended: k.status == suspending || k.status == suspended, reauth: k.reauth,
			secret: !k.unreadable,
		})
	}
	for _, c := range clusterIDs() {
		last := q.lists[c]
		q.lists[c] = q.list(q.t, c, last, wanted[c], !changed[c] && slices.Equal(last.wanted, wanted[c]))
	}
}

func (q *sequence) agreeCustomer(k *instance) {
	status, body, err := q.call(harness.Bob, http.MethodGet, "/kafkas/"+k.id, nil)
	if err != nil {
		q.t.Fatalf("%v", err)
	}
	if k.status == ending {
		if status != http.StatusNotFound && !strings.Contains(string(body), `"status":"deleting"`) {
			q.t.Fatalf("%s is on its way out and shown as %d %s", k.id, status, body)
		}
		return
	}
	var got harness.Kafka
	if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK {
		q.t.Fatalf("%s is %s and shown as %d %s", k.id, k.status, status, body)
	}
	want := got
	want.Status, want.Owner, want.ReauthenticationEnabled, want.Version = k.status, k.owner, k.reauth, k.kafka
	want.BootstrapServerHost, want.AdminAPIServerURL, want.FailedReason = k.host()+":443", "", ""
	if k.cluster == "" {
		want.BootstrapServerHost = ""
	}
	if k.synced {
		want.AdminAPIServerURL = k.admin
	}
	if k.failure {
		want.FailedReason = "Kafka reported as failed from the data plane"
	}
	if got != want {
		q.t.Fatalf("%s is shown as\n%+v, not\n%+v", k.id, got, want)
	}
}

// end removes what the sequence made, so that the next begins with empty clusters.
func (q *sequence) end() {
	for _, c := range clusterIDs() {
		if !q.ready[c] {
			q.turn(c)
		}
	}
	for _, k := range q.all {
		q.left[k.id] = true
		if _, _, err := q.call(harness.Carol, http.MethodDelete, "/kafkas/"+k.id+"?async=true", nil); err != nil {
			continue
		}
		body := map[string]agent.Status{k.id: {Conditions: []agent.Condition{says("False", "Deleted", "")}}}
		for _, c := range clusterIDs() {
			_ = q.put(c, body) // what is left is not looked at any more
		}
		q.gone = k.id
	}
}

// turn changes whether a cluster takes instances.
func (q *sequence) turn(c string) {
	q.ready[c] = !q.ready[c]
	if err := within(func(ctx context.Context) error { return q.agents[c].PushClusterStatus(ctx, q.ready[c]) }); err != nil {
		q.t.Fatalf("%v", err)
	}
}

func (o outcome) String() string { return fmt.Sprintf("%v %s", o.replies, o.instance.status) }
