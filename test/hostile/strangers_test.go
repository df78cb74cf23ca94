package hostile

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Whatever strangers ask lists, searches and errors, nothing of the victim's comes
// back, in no header and no line that the log has for them; and the metrics, which
// all operators see, name nobody.
func TestNothingOfTheVictimReachesStrangers(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	var theirs []string // operation ids of the strangers' requests
	for _, who := range s.callers(t) {
		if who.kind != stranger {
			continue
		}
		own := who.CreateKafka("mine")
		for _, path := range s.questions() {
			reply := who.Do(http.MethodGet, path, nil)
			theirs = append(theirs, reply.Header.Get(httpx.OperationIDHeader))
			text := string(reply.Body)
			for _, secret := range s.secrets {
				if !strings.Contains(path, strings.Trim(secret, `"`)) { // or it is only told what it said
					assert.NotContains(t, text, secret, "%s: GET %s", who.name, path)
				}
			}
			if reply.Status == http.StatusOK && strings.HasPrefix(path, "/kafkas") {
				assert.NotContains(t, text, s.objects["kafka"].existing, path)
			}
		}
		require.Equal(t, []string{"mine"}, harness.Names(who.List()))
		require.EqualValues(t, 1, who.List("search", "owner <> nobody").Total, "others' objects are not counted either")
		require.Equal(t, own.ID, who.List("search", "name = mine or owner = alice").Items[0].ID)
		// A taken name is told within an organisation only.
		who.Create(harness.Order{Name: marker + "-a", BillingModel: text("gold")}).MustFail(http.StatusBadRequest, 21)
	}
	s.readLogOf(t, theirs)
	status, metrics := s.Replica(0).Page(s.Replica(0).Metrics)
	require.Equal(t, http.StatusOK, status)
	for _, secret := range s.secrets {
		assert.NotContains(t, metrics, secret, "the metrics")
	}
	// The same questions show the victim to itself, or this test would see nothing.
	require.Contains(t, string(s.As(harness.Alice).Do(http.MethodGet, "/kafkas?search=name+like+%25", nil).Body), marker)
	require.Contains(t, string(s.As(harness.Alice).Do(http.MethodGet, "/service_accounts", nil).Body), marker)
}

func text(s string) *string { return &s }

// questions are requests for lists that try to reach over the own organisation's fence.
func (s scene) questions() []string {
	id := s.objects["kafka"].existing
	paths := []string{
		"/kafkas", "/kafkas?size=1000&page=1", "/kafkas?page=2&size=1", "/kafkas?orderBy=organisation_id", "/kafkas?orderBy=owner+desc,id",
		"/service_accounts", "/service_accounts?size=1000", "/service_accounts?page=2&size=1", "/service_accounts?client_id=" + s.account,
		"/errors", "/errors/" + id, "/nowhere/" + id, "/kafkas/" + id, "/service_accounts/" + s.objects["account"].existing,
	}
	for _, condition := range []string{
		"name like %", "name ilike V%", "name = " + marker + "-a", "owner = alice", "owner <> nobody", "owner in (alice, mallory)",
		"name = mine or owner = alice", "(name = mine) or (owner = alice and status = ready)", "cluster_id like %c1", "status <> failed",
		"name = ' or organisation_id = ", "name = x'); --", "organisation_id = " + harness.Organisation, "id = " + id, "name = mine or 1 = 1",
		"name not in (mine)", `name = '\' or name like %'`, "region like % or region like %", "name like %" + strings.Repeat("%", 200),
	} {
		paths = append(paths, "/kafkas?"+harness.Query("search", condition), "/kafkas?"+harness.Query("orderBy", condition))
	}
	return paths
}

// readLogOf looks at the lines that the log has for some requests. A line is written
// when its reply is on its way.
func (s scene) readLogOf(t *testing.T, operations []string) {
	t.Helper()
	var lines []string
	s.Until("a line for each request", func() (bool, string) {
		lines = slices.DeleteFunc(strings.Split(s.Log(), "\n"), func(line string) bool {
			return !slices.ContainsFunc(operations, func(id string) bool { return strings.Contains(line, id) })
		})
		return len(lines) >= len(operations), strconv.Itoa(len(lines))
	})
	for _, line := range lines {
		for _, secret := range []string{s.objects["account"].existing, "account-alice"} {
			assert.NotContains(t, line, secret)
		}
	}
}

// What a stranger may not know is not told by the time of the answer either. The
// figure depends on the machine, so that only a gross difference fails, and only
// one that is there each time.
//
// Not parallel: it compares times.
func TestForeignAndMissingTakeTheSameTime(t *testing.T) {
	s := setScene(t)
	for _, who := range s.callers(t) {
		if who.kind != stranger && who.name != "the agent of another cluster" {
			continue
		}
		for _, op := range allOperations(t) {
			e := entries[op.String()]
			existing, missing := want(op, e, who.kind)
			if e.object == "" || existing != missing || existing.status != http.StatusNotFound {
				continue
			}
			difference, bound := time.Hour, time.Millisecond
			for try := 0; try < 4 && difference > bound; try++ {
				foreign, none := s.inTurns(t, who, op)
				difference, bound = (foreign - none).Abs(), max(time.Millisecond, min(foreign, none)/2)
				t.Logf("%s %s: foreign %s, missing %s, difference %s", who.name, op, foreign, none, difference)
			}
			assert.LessOrEqual(t, difference, bound, "%s %s", who.name, op)
		}
	}
}

// inTurns gives the medians for an object of others and for none.
func (s scene) inTurns(t *testing.T, who caller, op operation) (foreign, none time.Duration) {
	t.Helper()
	o := s.objects[entries[op.String()].object]
	took := map[string][]time.Duration{}
	for range 60 { // in turns, so that both see the same machine
		for _, id := range []string{o.existing, o.random} {
			began := time.Now()
			s.try(t, "in turns", who, op, id)
			took[id] = append(took[id], time.Since(began))
		}
	}
	return median(took[o.existing]), median(took[o.random])
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
