package hostile

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// want gives what a caller gets for an object of Alice's organisation, and for
// none. It follows from the operation's audience, and where that lets the caller
// come so far, from the operation's entry.
func want(op operation, e entry, who kind) (existing, missing answer) {
	both := func(a answer) (answer, answer) { return a, a }
	switch {
	case op.audience == anybody:
		return e.owner, e.missing
	case who == nobody:
		return both(unknownCaller)
	case op.audience == agents && who == agentHere:
		return e.owner, e.missing
	case op.audience == admins && who == staff:
		return e.owner, e.missing
	case op.audience == agents, op.audience == admins:
		return both(noSuchRoute)
	case who == denied:
		return both(deniedCaller)
	case who == homeless, who == alien, who == staff, who == agentHere, (who == machine || who == strangeMachine) && !e.machines:
		return both(unknownCaller)
	case e.object == "", who == owner:
		return e.owner, e.missing
	case who == colleague, who == machine:
		return e.colleague, e.missing
	case who == admin:
		return e.admin, e.missing
	default:
		return e.foreign, e.missing
	}
}

// TestMatrix is every operation × every caller × an existing object, a deleted
// one and none. Where a caller may not know whether there is an object, the
// replies are the same, byte for byte, but for the ids of request and object.
func TestMatrix(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	before, calls := s.possessions(), 0
	var allowed []func()
	for _, who := range s.callers(t) {
		for _, op := range allOperations(t) {
			e := entries[op.String()]
			existing, missing := want(op, e, who.kind)
			place := who.name + ": " + op.String()
			if e.object == "" {
				s.try(t, place, who, op, "").expect(existing)
				calls++
				continue
			}
			o := s.objects[e.object]
			deleted := s.try(t, place+" deleted", who, op, o.deleted)
			random := s.try(t, place+" random", who, op, o.random)
			deleted.expect(missing).likewise(random)
			random.expect(missing)
			calls += 3
			if existing.code == 0 && op.method != http.MethodGet && o.fresh != nil {
				allowed = append(allowed, func() { s.try(t, place, who, op, o.fresh()).expect(existing) })
				continue
			}
			found := s.try(t, place+" existing", who, op, o.existing).expect(existing)
			if existing == missing && existing.code != 0 {
				found.likewise(random)
			}
		}
	}
	assert.Equal(t, before, s.possessions(), "nobody who was refused changed anything")
	for _, call := range allowed { // these change things, each one of its own
		call()
	}
	t.Logf("%d operations, %d callers, %d calls, %d of them allowed to change something", len(allOperations(t)), len(s.callers(t)), calls, len(allowed))
}

// possessions is all of Alice's that a caller could change.
func (s scene) possessions() []string {
	var all []string
	row := s.Row(s.objects["kafka"].existing)
	client, found := s.SSO.Client(harness.Realm, s.account)
	raw, err := json.Marshal(map[string]any{
		"row":    []any{row.Name, row.Owner, row.OwnerAccountID, row.OrganisationID, row.Status, row.ReauthenticationEnabled, row.DeletedAt},
		"client": []any{client.ClientID, client.Secret, found},
	})
	if err != nil {
		return []string{err.Error()}
	}
	var rows []string
	s.Scan(&rows, "SELECT id || status FROM kafka_requests ORDER BY id")
	return append(append(all, string(raw)), rows...)
}

// tried is one call with its reply.
type tried struct {
	t     *testing.T
	place string
	id    string
	got   harness.Response
}

func (s scene) try(t *testing.T, place string, who caller, op operation, id string) tried {
	t.Helper()
	e := entries[op.String()]
	var body any
	if e.body != "" {
		body = e.body
	}
	reply := who.Do(op.method, op.at(id, e.query), body)
	out := tried{t, place, id, reply}
	if who.kind == stranger || who.kind == nobody || who.kind == homeless || who.kind == strangeMachine {
		s.innocent(out)
	}
	return out
}

// innocent demands that a reply holds nothing of Alice's that its request did not hold.
func (s scene) innocent(c tried) {
	c.t.Helper()
	text := string(c.got.Body)
	for name, values := range c.got.Header {
		text += "\n" + name + ": " + strings.Join(values, " ")
	}
	if c.id != "" {
		text = strings.ReplaceAll(text, c.id, "<id>")
	}
	for _, secret := range s.secrets {
		assert.NotContains(c.t, text, secret, "%s: something of the victim's", c.place)
	}
}

func (c tried) expect(a answer) tried {
	c.t.Helper()
	got := answer{status: c.got.Status}
	if code, found := strings.CutPrefix(c.got.Error().Code, "KAFKAS-MGMT-"); found && c.got.Status >= http.StatusBadRequest {
		require.NoError(c.t, json.Unmarshal([]byte(code), &got.code))
	}
	assert.Equal(c.t, a, got, "%s: %s", c.place, c.got.Body)
	return c
}

// likewise demands the same reply, but for the ids of requests and objects.
func (c tried) likewise(other tried) {
	c.t.Helper()
	assert.Equal(c.t, other.plain(), c.plain(), "%s: must look like %s", c.place, other.place)
}

func (c tried) plain() string {
	var text strings.Builder
	header := c.got.Header.Clone()
	ids := []string{header.Get(httpx.OperationIDHeader), "<operation>"}
	if c.id != "" {
		ids = append(ids, c.id, "<id>")
	}
	header.Del("Date")
	if len(c.id) != 0 {
		header.Del("Content-Length") // follows the length of the id
	}
	_ = header.Write(&text) // a builder takes everything
	text.Write(c.got.Body)
	return strings.NewReplacer(ids...).Replace(text.String())
}

// Methods that a path does not have are refused like an unknown path, and say
// nothing to those without a token.
func TestMethodsThatAPathDoesNotHave(t *testing.T) {
	t.Parallel()
	s := setScene(t)
	alice, nobodyAtAll := s.As(harness.Alice), s.Bearing("")
	has, audiences := map[string]bool{}, map[string]audience{}
	for _, op := range allOperations(t) {
		has[op.String()], audiences[op.path] = true, op.audience
	}
	for path, who := range audiences {
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut, http.MethodTrace, "BREW"} {
			if has[method+" "+path] {
				continue
			}
			at := operation{path: path}.at(s.objects["kafka"].existing, "")
			alice.Do(method, at, nil).MustFail(http.StatusMethodNotAllowed, 10)
			if who == anybody {
				nobodyAtAll.Do(method, at, nil).MustFail(http.StatusMethodNotAllowed, 10)
			} else {
				nobodyAtAll.Do(method, at, nil).MustFail(unknownCaller.status, unknownCaller.code)
			}
		}
	}
}
