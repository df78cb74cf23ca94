package ams_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
)

const org = "13640203"

func reservation(key string) ams.Reservation {
	return ams.Reservation{
		Key: key, Username: "alice", CloudProvider: "aws", MultiAZ: true, Product: "RHOSAK", Resource: "rhosak", BillingModel: "standard", Units: 1,
	}
}

func TestQuotaCosts(t *testing.T) {
	t.Parallel()
	client, faults, _ := newWorldWithState(t)
	_, err := client.Reserve(t.Context(), reservation("k1"))
	require.NoError(t, err)
	for range 2 {
		costs, err := client.QuotaCosts(t.Context(), org)
		require.NoError(t, err)
		require.Len(t, costs, 2)
		require.Equal(t, []int{2, 1}, []int{costs[0].Allowed, costs[0].Consumed})
		require.Equal(t, ams.RelatedResource{Name: "rhosak", Product: "RHOSAK", BillingModel: "standard", Cost: 1}, costs[0].Resources[0])
		require.Equal(t, []ams.CloudAccount{{ID: "123456789012", Provider: "aws"}}, costs[0].CloudAccounts)
		require.Zero(t, costs[1].Resources[0].Cost)
	}
	require.Len(t, faults.JournalOf(http.MethodGet, "/organizations$"), 1, "the id of an organisation never changes")
	for _, unknown := range []string{"", "nobody", "x' or external_id = '" + org} {
		_, err = client.QuotaCosts(t.Context(), unknown)
		require.ErrorIs(t, err, ocm.ErrNotFound)
	}
	faults.Inject(emulator.Fault{Path: "quota_cost", Mode: emulator.Before, Status: http.StatusNotFound, Times: 1})
	_, err = client.QuotaCosts(t.Context(), org)
	require.ErrorIs(t, err, ocm.ErrNotFound)
	_, err = client.QuotaCosts(t.Context(), org)
	require.NoError(t, err, "an organisation that is not there any more is looked for again")
	require.Len(t, faults.JournalOf(http.MethodGet, "/organizations$"), 5)
	for status, want := range map[int]error{429: ocm.ErrThrottled, 500: ocm.ErrUnavailable, 403: ocm.ErrUnauthorised} {
		faults.Inject(emulator.Fault{Mode: emulator.Before, Status: status, Times: 1})
		_, err = client.QuotaCosts(t.Context(), org)
		require.ErrorIs(t, err, want)
	}
	faults.Inject(emulator.Fault{Mode: emulator.Oversize, Times: 1})
	_, err = client.QuotaCosts(t.Context(), org)
	require.ErrorIs(t, err, ocm.ErrUnavailable)
}

func TestOneKeyReservesOnceAndIsReleasedOnce(t *testing.T) {
	t.Parallel()
	client, faults, state := newWorldWithState(t)
	first, err := client.Reserve(t.Context(), reservation("k1"))
	require.NoError(t, err)
	require.True(t, first.Allowed)
	again, err := client.Reserve(t.Context(), reservation("k1"))
	require.NoError(t, err)
	require.Equal(t, first, again)
	found, err := client.Subscriptions(t.Context(), "k1")
	require.NoError(t, err)
	require.Equal(t, []string{first.SubscriptionID}, found)
	for _, key := range []string{"k2", "", "k1' or cluster_id = 'k1", "'"} {
		found, err = client.Subscriptions(t.Context(), key)
		require.NoError(t, err)
		require.Empty(t, found, key)
	}
	body := faults.JournalOf(http.MethodPost, "cluster_authorizations")[0].Body
	for _, part := range []string{
		`"account_username":"alice"`, `"cloud_provider_id":"aws"`, `"product_id":"RHOSAK"`, `"managed":true`, `"cluster_id":"k1"`, `"external_cluster_id":"k1"`,
		`"disconnected":false`, `"byoc":false`, `"availability_zone":"multi"`, `"reserve":true`, `"resource_type":"cluster.aws"`, `"resource_name":"rhosak"`,
		`"billing_model":"standard"`, `"count":1`,
	} {
		require.Contains(t, strings.ReplaceAll(body, ": ", ":"), part)
	}

	big := reservation("k2")
	big.Units = 2
	over, err := client.Reserve(t.Context(), big)
	require.NoError(t, err)
	require.False(t, over.Allowed)
	for _, known := range []string{first.SubscriptionID, "", "../accounts"} {
		existed, err := client.Release(t.Context(), "k1", known)
		require.NoError(t, err)
		require.Equal(t, known == first.SubscriptionID, existed, "what is not there is released")
	}
	require.Empty(t, state.Subscriptions())
	over, err = client.Reserve(t.Context(), big)
	require.NoError(t, err)
	require.True(t, over.Allowed)
	existed, err := client.Release(t.Context(), "k2", "")
	require.NoError(t, err)
	require.True(t, existed, "found by its key")
}

func TestARefusalIsNoFailure(t *testing.T) {
	t.Parallel()
	client, faults, state := newWorldWithState(t)
	banned := reservation("k1")
	banned.Username = "eve"
	verdict, err := client.Reserve(t.Context(), banned)
	require.NoError(t, err)
	require.False(t, verdict.Allowed)
	require.ErrorIs(t, verdict.Denied, ocm.ErrUnauthorised)
	for _, status := range []int{400, 403, 404, 409, 429, 451} {
		faults.Inject(emulator.Fault{Method: http.MethodPost, Mode: emulator.Before, Status: status, Times: 1})
		verdict, err := client.Reserve(t.Context(), reservation("k1"))
		require.NoError(t, err, status)
		require.False(t, verdict.Allowed)
		require.Error(t, verdict.Denied)
	}
	require.Empty(t, state.Subscriptions())
	for _, f := range []emulator.Fault{
		{Mode: emulator.Before, Status: 401}, {Mode: emulator.Before, Status: 408}, {Mode: emulator.Before, Status: 503}, {Mode: emulator.After, Status: 500},
		{Mode: emulator.ResetAfter}, {Mode: emulator.HangAfter}, {Mode: emulator.Garbage}, {Mode: emulator.Redirect},
	} {
		f.Method, f.Times = http.MethodPost, 1
		faults.Inject(f)
		verdict, err := client.Reserve(t.Context(), reservation("k1"))
		require.Error(t, err, "%v: nobody knows whether it was reserved", f)
		require.False(t, verdict.Allowed)
		faults.ClearFaults()
	}
	require.Len(t, state.Subscriptions(), 1)
}

// A service that answers nonsense is not believed.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	said := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, said)
	}))
	t.Cleanup(server.Close)
	client, err := ams.New(ocm.Config{AMSBaseURL: server.URL, TokenURL: server.URL, Token: log.Secret(offline(t)), Timeout: time.Second}, discard())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for _, said = range []string{
		`{"allowed":true}`, `{"allowed":true,"subscription":{"id":""}}`, `{"allowed":true,"subscription":{"id":"../accounts"}}`,
		`{"allowed":true,"subscription":{"id":"s1","cluster_id":"another"}}`,
		`{}`, `{"allowed":null}`, `{"kind":"Error","code":"ACCT-MGMT-9","reason":"it went wrong"}`,
	} {
		_, err := client.Reserve(t.Context(), reservation("k1"))
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
	}
	for _, said = range []string{`{}`, `{"terms_required":null}`, `{"account_id":"1","redirect_url":"https://terms.example.test/"}`} {
		accepted, _, err := client.TermsAccepted(t.Context(), "ann")
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
		require.False(t, accepted)
	}
	for _, said = range []string{`{"items":[]}`, `{"items":null}`, `{"total":0}`, `{"items":[{"id":"o1","external_id":"2"}]}`} {
		_, err := client.Organisation(t.Context(), "1")
		require.ErrorIs(t, err, ocm.ErrNotFound, said)
	}
	said = `{"items":[{"id":"../x","external_id":"1"}]}`
	_, err = client.Organisation(t.Context(), "1")
	require.ErrorIs(t, err, ocm.ErrUnavailable, "it is there, and cannot be asked about")
	said = `{"items":[{"id":"..","cluster_id":"k1"},{"id":"s1","cluster_id":"k2"},{"id":"s2","cluster_id":"k1","status":"Deprovisioned"},{"id":"s3","cluster_id":"k1"}]}`
	found, err := client.Subscriptions(t.Context(), "k1")
	require.NoError(t, err)
	require.Equal(t, []string{"s3"}, found)

	said = `{"items":[{"id":"o1","external_id":"1"}]}`
	_, err = client.Organisation(t.Context(), "1")
	require.NoError(t, err)
	for _, said = range []string{`{}`, `{"kind":"Error","code":"ACCT-MGMT-9","reason":"it went wrong"}`} {
		_, err := client.Organisation(t.Context(), "2")
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
		_, err = client.QuotaCosts(t.Context(), "1")
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
		_, err = client.Subscriptions(t.Context(), "k1")
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
		_, err = client.Release(t.Context(), "k1", "")
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
		_, _, err = client.Account(t.Context(), "ann")
		require.ErrorIs(t, err, ocm.ErrUnavailable, said)
	}
	_, err = client.AccountNumbers(t.Context(), []string{"2"})
	require.ErrorIs(t, err, ocm.ErrUnavailable)

	page := `{"items":[{"id":"o1","external_id":"1"}` + strings.Repeat(`,{"quota_id":"q"}`, 999) + `]}`
	said = page
	_, err = client.QuotaCosts(t.Context(), "1")
	require.ErrorIs(t, err, ocm.ErrUnavailable, "there is always another page")
}

// What stands before the service refuses in the same statuses, and does not know.
func TestOnlyTheServiceItselfRefuses(t *testing.T) {
	t.Parallel()
	var status int
	var kind, body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	client, err := ams.New(ocm.Config{AMSBaseURL: server.URL, TokenURL: server.URL, Token: log.Secret(offline(t)), Timeout: time.Second}, discard())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for _, c := range []struct {
		status     int
		kind, body string
		refused    bool
	}{
		{400, "application/json", `{"kind":"Error","id":"21","code":"ACCT-MGMT-21","reason":"no such account"}`, true},
		{403, "application/json", `{"kind":"Error","id":"11","code":"ACCT-MGMT-11","reason":"banned"}`, true},
		{429, "application/json", `{}`, true},
		{403, "application/json", `{"message":"forbidden"}`, false},
		{403, "application/json", `{"kind":"Error","id":"403","code":"403","reason":"the gateway"}`, false},
		{404, "application/json", ``, false},
		{404, "application/json", `{"message":"no route matched"}`, false},
		{404, "application/json", `{"kind":"Error","id":"7","code":"ACCT-MGMT-7","reason":"no such account"}`, true},
		{403, "text/html", "<html>blocked</html>", false},
		{413, "text/plain", "too large", false},
		{401, "application/json", `{"kind":"Error","id":"15","code":"ACCT-MGMT-15","reason":"who are you"}`, false},
		{500, "application/json", `{"kind":"Error","id":"9","code":"ACCT-MGMT-9","reason":"oops"}`, false},
	} {
		status, kind, body = c.status, c.kind, c.body
		verdict, err := client.Reserve(t.Context(), reservation("k1"))
		require.Equal(t, c.refused, err == nil, "%d %s: %v", c.status, c.body, err)
		require.Equal(t, c.refused, verdict.Denied != nil, "%d %s", c.status, c.body)
		require.False(t, verdict.Allowed)
		if c.status == 404 && !c.refused {
			require.ErrorIs(t, err, ocm.ErrUnavailable)
			_, err = client.QuotaCosts(t.Context(), "1")
			require.ErrorIs(t, err, ocm.ErrUnavailable, "a 404 of somebody on the way says nothing of what is there: %s", c.body)
			_, err = client.Release(t.Context(), "k1", "s1")
			require.ErrorIs(t, err, ocm.ErrUnavailable, c.body)
		}
		accepted, _, err := client.TermsAccepted(t.Context(), "ann")
		require.Equal(t, c.refused && c.status == 404, err == nil, "only whom the service itself does not know has accepted nothing: %d %s", c.status, c.body)
		require.False(t, accepted)
	}
}

// What the service shows is not gone because a deletion finds nothing.
func TestWhatIsShownIsNotReleased(t *testing.T) {
	t.Parallel()
	client, faults, state := newWorldWithState(t)
	made, err := client.Reserve(t.Context(), reservation("k1"))
	require.NoError(t, err)
	for _, known := range []string{made.SubscriptionID, ""} {
		faults.Inject(emulator.Fault{Method: http.MethodDelete, Mode: emulator.Before, Status: http.StatusNotFound})
		_, err = client.Release(t.Context(), "k1", known)
		require.ErrorIs(t, err, ocm.ErrUnavailable)
		faults.ClearFaults()
	}
	require.Len(t, state.Subscriptions(), 1)
	existed, err := client.Release(t.Context(), "k1", made.SubscriptionID)
	require.NoError(t, err)
	require.True(t, existed)
	require.Empty(t, state.Subscriptions())
}

// A page may be smaller than what was asked for: the total says when all is read.
func TestQuotasAreReadToTheEnd(t *testing.T) {
	t.Parallel()
	var have, total, most, calls int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, "/quota_cost") {
			_, _ = fmt.Fprint(w, `{"items":[{"id":"o1","external_id":"1"}]}`)
			return
		}
		calls++
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		from := min((page-1)*most, have)
		items := []string{}
		for i := from; i < min(from+most, have); i++ {
			items = append(items, fmt.Sprintf(`{"quota_id":"q%d"}`, i))
		}
		_, _ = fmt.Fprintf(w, `{"page":%d,"size":%d,"total":%d,"items":[%s]}`, page, len(items), total, strings.Join(items, ","))
	}))
	t.Cleanup(server.Close)
	client, err := ams.New(ocm.Config{AMSBaseURL: server.URL, TokenURL: server.URL, Token: log.Secret(offline(t)), Timeout: time.Second}, discard())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for _, c := range []struct{ have, total, most, calls int }{{0, 0, 100, 1}, {7, 7, 100, 1}, {250, 250, 100, 3}, {200, 200, 100, 2}} {
		have, total, most, calls = c.have, c.total, c.most, 0
		costs, err := client.QuotaCosts(t.Context(), "1")
		require.NoError(t, err)
		require.Len(t, costs, c.have)
		require.Equal(t, c.calls, calls, "%v", c)
	}
	for _, c := range []struct{ have, total, most int }{{100, 150, 100}, {100, 100, 1}} {
		have, total, most, calls = c.have, c.total, c.most, 0
		_, err := client.QuotaCosts(t.Context(), "1")
		require.ErrorIs(t, err, ocm.ErrUnavailable, "half a list is none: %v", c)
		require.LessOrEqual(t, calls, 20)
	}
}
