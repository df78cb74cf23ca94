package agents

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// most is how many instances of a sequence are there at a time, and mostMade how
// many it may make in all.
const (
	most     = 3
	mostMade = 6
)

// maxSteps is how long a sequence may be.
const maxSteps = 60

// long is how long a sequence may take: some answers to rejections hold no longer.
const long = 80 * time.Second

// actions gives what may happen next, by name. What comes more often has more names.
func (q *sequence) actions() map[string]func(*rapid.T) {
	bounded := func(do func()) func(*rapid.T) {
		return func(t *rapid.T) {
			q.t = t
			if q.steps >= maxSteps || time.Since(q.began) > long {
				return
			}
			q.steps++
			do()
		}
	}
	return map[string]func(*rapid.T){
		"create":          bounded(q.create),
		"report":          bounded(q.report),
		"report again":    bounded(q.report),
		"report a third":  bounded(q.report),
		"report a fourth": bounded(q.report),
		"batch":           bounded(q.batch),
		"foreign":         bounded(q.foreign),
		"repeat":          bounded(q.repeat),
		"patch":           bounded(q.patch),
		"delete":          bounded(q.remove),
		"race":            bounded(q.race),
		"another race":    bounded(q.race),
		"administrator":   bounded(q.administer),
		"cluster":         bounded(q.cluster),
		"bad row":         bounded(q.spoil),
		"":                func(t *rapid.T) { q.t = t; q.agree() },
	}
}

func (q *sequence) create() {
	if len(q.all) >= mostMade || len(q.present()) > most {
		q.report()
		return
	}
	name := q.name()
	status, body, err := q.call(harness.Alice, http.MethodPost, "/kafkas?async=true", harness.Order{Name: name})
	if err != nil {
		q.t.Fatalf("%v", err)
	}
	usable := q.usable()
	if len(usable) == 0 {
		if status != http.StatusForbidden {
			q.t.Fatalf("without a cluster an order is answered with %d %s", status, body)
		}
		return
	}
	var made struct{ ID string }
	if err := json.Unmarshal(body, &made); err != nil || status != http.StatusAccepted {
		q.t.Fatalf("an order is answered with %d %s", status, body)
	}
	k := born(made.ID, name, usable[0], harness.Alice)
	q.all = append(q.all, &k)
	fresh := []outcome{{instance: k}}
	if rapid.IntRange(0, 3).Draw(q.t, "reported at once") == 0 {
		// Too early to be believed, unless the loops were faster.
		r := q.utter(&k, drawSaid(q.t, "early", provisioning), k.cluster)
		q.send(r.from, map[string]report{k.id: r})
		fresh = append(fresh, q.after(k, func(k *instance) int { k.hear(r); return http.StatusOK })...)
		for i := range fresh {
			fresh[i].replies = nil
		}
	}
	q.expect(&k, nil, fresh)
}

// utter makes a report of an instance.
func (q *sequence) utter(k *instance, s said, from string) report {
	return s.utter(from, q.now(), k.at)
}

// send reports, and remembers it.
func (q *sequence) send(from string, reports map[string]report) {
	body := map[string]agent.Status{}
	for id, r := range reports {
		body[id] = r.wire
		q.t.Logf("%s says of %q: %s", from, id, r)
	}
	if err := q.put(from, body); err != nil {
		q.t.Fatalf("%v", err)
	}
	q.sent = append(q.sent, batch{from, reports})
}

// home is the cluster of an instance, or one that it might have come to.
func (q *sequence) home(k *instance) string {
	if k.cluster != "" {
		return k.cluster
	}
	return harness.ClusterOne
}

// tell reports and demands that everything is as the model has it then.
func (q *sequence) tell(from string, reports map[string]report) {
	q.send(from, reports)
	for _, k := range q.all {
		r, named := reports[k.id]
		if !named {
			continue
		}
		q.expect(k, nil, q.after(*k, func(k *instance) int { k.hear(r); return http.StatusOK }))
	}
}

// report reports one instance, now and then twice.
func (q *sequence) report() {
	k := q.pick()
	if k == nil {
		return
	}
	from := q.home(k)
	reports := map[string]report{k.id: q.utter(k, drawSaid(q.t, "report", k.status), from)}
	q.tell(from, reports)
	if rapid.IntRange(0, 2).Draw(q.t, "twice") == 2 {
		q.tell(from, reports)
	}
}

// foreign reports what is not the cluster's, or nobody's.
func (q *sequence) foreign() {
	from := rapid.SampledFrom(clusterIDs()).Draw(q.t, "from")
	s := drawSaid(q.t, "foreign", ready)
	nobody := &instance{}
	reports := map[string]report{}
	for _, id := range []string{"nosuchkafka", "NO/ID\x00 at all", "", q.gone} {
		reports[id] = q.utter(nobody, s, from)
	}
	if k := q.pick(); k != nil {
		reports[k.id] = q.utter(k, s, from)
	}
	q.tell(from, reports)
}

// batch reports several instances at once, in no order.
func (q *sequence) batch() {
	from := rapid.SampledFrom(clusterIDs()).Draw(q.t, "from")
	reports := map[string]report{"nosuchkafka": q.utter(&instance{}, said{}, from)}
	for _, k := range q.all {
		reports[k.id] = q.utter(k, drawSaid(q.t, "entry", k.status), from)
	}
	q.tell(from, reports)
}

// repeat sends some earlier report again as it was: late, or twice.
func (q *sequence) repeat() {
	if len(q.sent) == 0 {
		return
	}
	b := q.sent[len(q.sent)-1-rapid.IntRange(0, min(len(q.sent)-1, 7)).Draw(q.t, "how long ago")]
	q.tell(b.from, b.reports)
}

// change draws a PATCH.
func (q *sequence) change() (owner string, reauth bool, body map[string]any) {
	owner = rapid.SampledFrom([]string{harness.Alice, harness.Bob}).Draw(q.t, "owner")
	reauth = rapid.Bool().Draw(q.t, "reauthentication")
	return owner, reauth, map[string]any{"owner": owner, "reauthentication_enabled": reauth}
}

func (q *sequence) patch() {
	if k := q.pick(); k != nil {
		q.together(k, q.patching(k))
	}
}

func (q *sequence) remove() {
	if rapid.IntRange(0, 2).Draw(q.t, "spared") > 0 {
		q.report()
		return
	}
	if k := q.pick(); k != nil {
		q.together(k, q.deleting(k))
	}
}

// act is something to do with an instance, and what it should do to the model.
type act struct {
	do    func() (int, error)
	model func(*instance) int
}

func (q *sequence) patching(k *instance) act {
	owner, reauth, body := q.change()
	return act{
		do: func() (int, error) {
			status, _, err := q.call(harness.Carol, http.MethodPatch, "/kafkas/"+k.id, body)
			return status, err
		},
		model: func(k *instance) int { return k.change(owner, reauth) },
	}
}

func (q *sequence) deleting(k *instance) act {
	return act{
		do: func() (int, error) {
			status, _, err := q.call(harness.Carol, http.MethodDelete, "/kafkas/"+k.id+"?async=true", nil)
			return status, err
		},
		model: (*instance).remove,
	}
}

func (q *sequence) reporting(k *instance) act {
	r := q.utter(k, drawSaid(q.t, "racing", k.status), q.home(k))
	q.sent = append(q.sent, batch{r.from, map[string]report{k.id: r}})
	q.t.Logf("%s says of %q at the same time: %s", r.from, k.id, r)
	return act{
		do:    func() (int, error) { return http.StatusOK, q.put(r.from, map[string]agent.Status{k.id: r.wire}) },
		model: func(k *instance) int { k.hear(r); return http.StatusOK },
	}
}

// race does two things with one instance at the same time.
func (q *sequence) race() {
	k := q.pick()
	if k == nil {
		return
	}
	var acts []act
	for _, kind := range rapid.SampledFrom([][]string{
		{"report", "delete"}, {"report", "report"}, {"report", "report"}, {"report", "report"}, {"report", "patch"}, {"report", "patch"},
		{"patch", "delete"},
	}).Draw(q.t, "race") {
		switch kind {
		case "report":
			acts = append(acts, q.reporting(k))
		case "patch":
			acts = append(acts, q.patching(k))
		case "delete":
			acts = append(acts, q.deleting(k))
		}
	}
	q.together(k, acts...)
}

// together does all acts at the same time.
func (q *sequence) together(k *instance, acts ...act) {
	replies, failures := make([]int, len(acts)), make([]error, len(acts))
	var models []func(*instance) int
	var acting sync.WaitGroup
	for n, a := range acts {
		models = append(models, a.model)
		acting.Go(func() { replies[n], failures[n] = a.do() })
	}
	acting.Wait()
	for _, err := range failures {
		if err != nil {
			q.t.Fatalf("%v", err)
		}
	}
	q.expect(k, replies, q.after(*k, models...))
}

// administer suspends what is ready and resumes what is suspended.
func (q *sequence) administer() {
	k := q.pick()
	if k == nil {
		return
	}
	switch k.status {
	case ready:
		q.w.Suspend(k.id)
		k.move("suspend_asked", suspending)
	case suspended:
		q.w.Resume(k.id)
		k.move("resume_asked", resuming)
	}
	q.expect(k, nil, q.after(*k, func(*instance) int { return http.StatusOK }))
}

// cluster lets a cluster say that it is ready or not, or something unreadable.
func (q *sequence) cluster() {
	c := rapid.SampledFrom(clusterIDs()).Draw(q.t, "cluster")
	if rapid.IntRange(0, 2).Draw(q.t, "unreadable") == 0 {
		err := within(func(ctx context.Context) error {
			return q.agents[c].PutCluster(ctx, agent.ClusterStatus{
				Conditions: []agent.Condition{says("False", "", "")},
				Strimzi:    []agent.Strimzi{{Ready: true, Version: "nonsense", KafkaVersions: []string{"x"}, KafkaIbpVersions: []string{"y"}}},
			})
		})
		if err == nil {
			q.t.Fatalf("%s sent nonsense and was believed", c)
		}
		return
	}
	q.turn(c)
	for _, k := range q.all {
		q.expect(k, nil, q.after(*k, func(*instance) int { return http.StatusOK }))
	}
}

// spoil makes one row unreadable, or readable again: the rest of its cluster's
// list must stay.
func (q *sequence) spoil() {
	k := q.pick()
	if k == nil || k.status == ending {
		return
	}
	const column = "canary_service_account_client_secret"
	if k.unreadable {
		q.w.Exec("UPDATE kafka_requests SET "+column+" = substr("+column+", 4), version = version + 1 WHERE id = ?", k.id)
	} else {
		q.w.Exec("UPDATE kafka_requests SET "+column+" = 'bad' || "+column+", version = version + 1 WHERE id = ?", k.id)
	}
	k.unreadable = !k.unreadable
}
