package scenario

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestTheBodiesOfALife(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	created := alice.Do(http.MethodPost, "/kafkas?async=true", `{"name":"one","cluster_id":""}`).Must(202)
	golden(t, "create", created.Body)
	var k harness.Kafka
	created.Into(&k)
	h.WaitStatus(k.ID, kafka.Ready)

	got := alice.Do(http.MethodGet, "/kafkas/"+k.ID, nil).Must(200)
	golden(t, "get", got.Body)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	golden(t, "list", alice.Do(http.MethodGet, "/kafkas", nil).Must(200).Body)
	require.Equal(t, k.CreatedAt, alice.Get(k.ID).CreatedAt, "a time never changes its precision")
	golden(t, "patch", alice.Do(http.MethodPatch, "/kafkas/"+k.ID, `{"reauthentication_enabled":false,"owner":null}`).Must(200).Body)
	golden(t, "patch", alice.Do(http.MethodPatch, "/kafkas/"+k.ID, `{}`).Must(200).Body)

	deleted := alice.Do(http.MethodDelete, "/kafkas/"+k.ID+"?async=true", nil).Must(202)
	require.Empty(t, deleted.Body)
	require.Equal(t, "application/json", deleted.Header.Get("Content-Type"))
	h.WaitGone(k.ID)
	golden(t, "get_gone", alice.Do(http.MethodGet, "/kafkas/"+k.ID, nil).MustFail(404, 7).Body)
	golden(t, "delete_gone", alice.Do(http.MethodDelete, "/kafkas/"+k.ID+"?async=true", nil).MustFail(404, 7).Body)
	golden(t, "list_empty", alice.Do(http.MethodGet, "/kafkas", nil).Must(200).Body)
}

func TestATrialInstanceEnds(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	golden(t, "create_trial", h.As(harness.Mallory).Do(http.MethodPost, "/kafkas?async=true", `{"name":"trial"}`).Must(202).Body)
}

// order is one way to ask for an instance.
type order struct {
	query, body  string
	status, code int
}

// The first check that fails decides, in this order, whatever else is wrong.
func TestTheFirstThingWrongWithAnOrderIsTold(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	alice.CreateKafka("taken")
	const wrong = `,"cloud_provider":"moon","region":"sea","plan":"nine.lives","billing_model":"gold","marketplace":"bazaar"}`
	long := strings.Repeat("x", 33)
	for name, c := range map[string]order{
		"decode before async":    {"", `{"name":`, 400, 17},
		"empty body":             {"?async=true", ``, 400, 17},
		"wrong type":             {"?async=true", `{"name":7}`, 400, 17},
		"no async":               {"", `{"name":"` + long + `"` + wrong, 400, 103},
		"async but not true":     {"?async=1", `{"name":""` + wrong, 400, 103},
		"name too long":          {"?async=true", `{"name":"` + long + `"` + wrong, 400, 34},
		"name empty":             {"?async=true", `{"name":""` + wrong, 400, 33},
		"null body":              {"?async=true", `null`, 400, 33},
		"name malformed":         {"?async=true", `{"name":"One"` + wrong, 400, 32},
		"name ends in a dash":    {"?async=true", `{"name":"one-"}`, 400, 32},
		"name with per cent":     {"?async=true", `{"name":"%d%s"}`, 400, 32},
		"name taken":             {"?async=true", `{"name":"taken"` + wrong, 409, 36},
		"provider":               {"?async=true", `{"name":"one"` + wrong, 400, 30},
		"region":                 {"?async=true", `{"name":"one","region":"sea","plan":"nine.lives"}`, 400, 31},
		"plan of another type":   {"?async=true", `{"name":"one","plan":"developer.x1","billing_model":"gold"}`, 400, 21},
		"plan malformed":         {"?async=true", `{"name":"one","plan":"standard"}`, 400, 21},
		"plan with two dots":     {"?async=true", `{"name":"one","plan":"standard.x1.y"}`, 400, 21},
		"size":                   {"?async=true", `{"name":"one","plan":"standard.x7","billing_model":"gold"}`, 400, 42},
		"billing model":          {"?async=true", `{"name":"one","billing_model":"gold","marketplace":"aws"}`, 400, 21},
		"enterprise, no cluster": {"?async=true", `{"name":"one","billing_model":"enterprise"}`, 400, 21},
		"marketplace alone":      {"?async=true", `{"name":"one","marketplace":"aws"}`, 400, 43},
		"no such cluster":        {"?async=true", `{"name":"one","cluster_id":"1sandbox0000000000000000000000c9"}`, 403, 24},
		"model without quota":    {"?async=true", `{"name":"one","billing_model":"eval"}`, 403, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := alice.Do(http.MethodPost, "/kafkas"+c.query, c.body)
			require.Equal(t, c.status, reply.Status, "%s", reply.Body)
			golden(t, "error_"+strings.NewReplacer(" ", "_", ",", "").Replace(name), reply.Body)
		})
	}
	t.Cleanup(func() { require.Equal(t, []string{"taken"}, harness.Names(alice.List())) })
}

func TestWhatQuotaAndRoomForbid(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 2}))
	alice, dave := h.As(harness.Alice), h.As(harness.Dave)
	dave.CreateKafka("daves")
	golden(t, "error_quota", dave.Create(harness.Order{Name: "more"}).MustFail(403, 5).Body)
	alice.Create(harness.Order{Name: "big", Plan: "standard.x2"}).MustFail(403, 24)
	alice.CreateKafka("small")
	golden(t, "error_room", alice.Create(harness.Order{Name: "more"}).MustFail(403, 24).Body)
}

func TestTrialsThatAreNotGiven(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Set("allow-developer-instance", "false"))
	h.As(harness.Mallory).Create(harness.Order{Name: "trial"}).MustFail(403, 4)
	account, marketplace := "account", "aws"
	h.As(harness.Alice).Create(harness.Order{Name: "bought", BillingCloudAccountID: &account, Marketplace: &marketplace}).MustFail(403, 120)
}

func TestRepliesBeforeAnyHandler(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice, nobody := h.As(harness.Alice), h.Bearing("")
	golden(t, "error_401", nobody.Do(http.MethodGet, "/kafkas", nil).MustFail(401, 15).Body)
	nobody.Do(http.MethodGet, "/nowhere", nil).MustFail(401, 15)
	h.Bearing("no.token.atall").Do(http.MethodGet, "/kafkas", nil).MustFail(401, 15)
	golden(t, "error_404", alice.Do(http.MethodGet, "/no%25where", nil).MustFail(404, 7).Body)
	golden(t, "error_405", alice.Do(http.MethodPut, "/kafkas", nil).MustFail(405, 10).Body)
	alice.Do(http.MethodGet, "/kafkas/%00", nil).MustFail(404, 7)
	challenge := nobody.Do(http.MethodGet, "/kafkas", nil).Header.Get("WWW-Authenticate")
	require.Equal(t, `Bearer realm="KAFKAS-MGMT/v1"`, challenge)

	for _, path := range []string{"/api/kafkas_mgmt", "/api/kafkas_mgmt/", harness.Base, "/openapi", "/errors", "/errors/36", "/sso_providers"} {
		nobody.Do(http.MethodGet, path, nil).Must(200)
	}
	golden(t, "metadata", nobody.Do(http.MethodGet, "/api/kafkas_mgmt", nil).Body)
	golden(t, "version", nobody.Do(http.MethodGet, harness.Base, nil).Body)
	golden(t, "error_36", nobody.Do(http.MethodGet, "/errors/36", nil).Body)
	golden(t, "sso_provider", nobody.Do(http.MethodGet, "/sso_providers", nil).Body)
}

func TestTenantsAgainstEachOther(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	change := map[string]any{"reauthentication_enabled": false}
	remove := "/kafkas/" + k.ID + "?async=true"

	bob := h.As(harness.Bob)
	require.Equal(t, k.ID, bob.Get(k.ID).ID)
	bob.Do(http.MethodPatch, "/kafkas/"+k.ID, change).MustFail(403, 11)
	bob.Do(http.MethodPatch, "/kafkas/"+k.ID, `{}`).MustFail(403, 11)
	bob.Do(http.MethodDelete, remove, nil).MustFail(404, 7)

	mallory := h.As(harness.Mallory)
	own := mallory.CreateKafka("one") // names are the organisation's own
	require.Equal(t, []string{own.ID}, ids(mallory.List()))
	for _, search := range []string{"name = one", "name like %", "owner = alice", "name = nothing or owner = alice", "cluster_id like %c1"} {
		require.NotContains(t, ids(mallory.List("search", search)), k.ID, search)
	}
	for _, id := range []string{k.ID, "dc1dvq1ksdudpvuabtf0"} {
		golden(t, "error_foreign", mallory.Do(http.MethodGet, "/kafkas/"+id, nil).MustFail(404, 7).Body)
		mallory.Do(http.MethodPatch, "/kafkas/"+id, change).MustFail(404, 7)
		mallory.Do(http.MethodDelete, "/kafkas/"+id+"?async=true", nil).MustFail(404, 7)
	}
	h.As(harness.Eve).Do(http.MethodGet, "/kafkas", nil).MustFail(403, 4)
	h.As(harness.Eve).Create(harness.Order{Name: "eves"}).MustFail(403, 4)
	h.As(harness.Nora).Do(http.MethodGet, "/kafkas", nil).MustFail(401, 15)
	h.As(harness.Nora).Create(harness.Order{Name: "noras"}).MustFail(401, 15)

	carol := h.As(harness.Carol)
	require.False(t, carol.Patch(k.ID, change).ReauthenticationEnabled)
	require.Equal(t, int64(0), h.Agent(harness.ClusterOne).Lists()[k.ID].Spec.OAuth.MaximumSessionLifetime)
	carol.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestASecretNeverComesIntoTheLog(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Set("enable-db-debug", "true"), harness.Set("ocm-debug", "true"))
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	var account struct{ ID string }
	alice.Do(http.MethodPost, "/service_accounts", `{"name":"mine"}`).Must(202).Into(&account)
	alice.Do(http.MethodPost, "/service_accounts/"+account.ID+"/reset_credentials", nil).Must(200)
	h.Bearing("not.even.a-token-of-ours").Do(http.MethodGet, "/kafkas", nil).MustFail(401, 15)
	alice.Do(http.MethodGet, "/kafkas?search=name+%3D+", nil).MustFail(400, 23)
	alice.Patch(k.ID, map[string]any{"owner": harness.Bob})
	alice.Do(http.MethodDelete, "/service_accounts/"+account.ID, nil).Must(204)
	h.As(harness.Bob).Delete(k.ID)
	h.WaitGone(k.ID)
	require.Greater(t, h.Secrets(), 10)
	require.Contains(t, h.Log(), `"level":"DEBUG"`)
	// What the harness looks for at the end of every test it would find.
	require.Contains(t, h.Log(), k.ID)
}
