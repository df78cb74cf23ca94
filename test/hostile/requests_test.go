package hostile

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestRequestsThatNoClientSends sends drawn requests to every operation. The
// harness holds each reply against its specification, fails on any 5xx, and on a
// panic in the log.
func TestRequestsThatNoClientSends(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 2500, Full: 200_000})
	s := setScene(t)
	ops, callers := allOperations(t), s.fuzzers()
	drawn := requests(ops, len(callers))
	for round := range run.Rounds() {
		r := drawn.Example(int(run.Rand(round).Uint32()))
		status := s.send(ops[r.op], callers[r.who], r)
		run.Count(class(status), 1)
		if t.Failed() {
			t.Fatalf("round %d: %s by caller %d, id %.80q, query %.300q, header %q, body %.1000q", round, ops[r.op], r.who, r.id, r.query, r.header, r.body)
		}
	}
}

func class(status int) string { return string("012345"[status/100%6]) + "xx" }

// fuzzers are the callers that get past the door of some operations.
func (s scene) fuzzers() []*harness.Caller {
	return []*harness.Caller{
		s.As(harness.Alice), s.As(harness.Alice), s.As(harness.Mallory), s.AsAgent(harness.ClusterOne), s.AsAgent(harness.ClusterOne), s.As(harness.Reader), s.Bearing(""),
	}
}

// send makes a drawn request, and keeps the world in shape: what was made is
// removed, what was removed is made anew.
func (s scene) send(op operation, by *harness.Caller, r request) (status int) {
	o := s.objects[entries[op.String()].object]
	fill := func(text string) string {
		return strings.NewReplacer(thisOne, s.objects["kafka"].existing, another, s.objects["kafka"].deleted).Replace(text)
	}
	id := strings.NewReplacer(thisOne, o.existing, another, o.deleted).Replace(r.id)
	path := op.at(pathID(id), r.query)
	if r.header[0] != "" {
		by = by.With(r.header[0], r.header[1])
	}
	var body any
	if op.takesBody() {
		body = fill(r.body)
	}
	reply := by.Do(op.method, path, body)
	if reply.Status >= http.StatusMultipleChoices || !op.changes() {
		return reply.Status
	}
	switch {
	case op.method == http.MethodDelete && o.fresh != nil:
		o.existing = o.fresh()
		s.objects[entries[op.String()].object] = o
	case op.method == http.MethodPost && reply.Status == http.StatusAccepted:
		var made struct{ Href string }
		if json.Unmarshal(reply.Body, &made) == nil {
			by.Do(http.MethodDelete, made.Href+"?async=true", nil)
		}
	}
	return reply.Status
}
