package hostile

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// clusterGone is a cluster that was there once.
const clusterGone = "1sandbox0000000000000000000000c3"

// marker is in every text that the victims can choose.
const marker = "victims-own"

func world(t *testing.T, choices ...harness.Option) *harness.World {
	t.Helper()
	return harness.New(t, append([]harness.Option{harness.Clusters(
		harness.Cluster{ID: harness.ClusterOne, Units: -1}, harness.Cluster{ID: harness.ClusterTwo, Units: -1},
	)}, choices...)...)
}

// object is one kind of thing that ids in paths name.
type object struct {
	existing, deleted, random string
	fresh                     func() string // another existing one; nil where calls change nothing
}

// scene is a world in which Alice has something of every kind.
type scene struct {
	*harness.World

	objects map[string]object
	secrets []string // no stranger may ever read these
	account string   // client id of Alice's service account
}

type account struct {
	ID, Href     string
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

func setScene(t *testing.T) scene {
	t.Helper()
	s := scene{World: world(t), objects: map[string]object{
		// What customers may choose is the same for all, and nothing of anybody.
		"provider": {existing: "aws", deleted: "moon", random: "sun"},
		"file":     {existing: "page.js", deleted: "page.go", random: "none.js"},
		"region":   {existing: "us-east-1", deleted: "sea", random: "sky"},
		"error":    {existing: "7", deleted: "999", random: "998"},
		"cluster":  {existing: harness.ClusterOne, deleted: clusterGone, random: "1sandbox0000000000000000000000zz"},
	}}
	s.buryCluster(t)
	alice := s.As(harness.Alice)
	live, gone := alice.CreateKafka(marker+"-a"), alice.CreateKafka(marker+"-b")
	s.WaitStatus(live.ID, kafka.Ready)
	s.WaitStatus(gone.ID, kafka.Ready)
	alice.Delete(gone.ID)
	s.WaitGone(gone.ID)
	n := 0
	freshName := func() string { n++; return marker + "-" + strconv.Itoa(n) }
	s.objects["kafka"] = object{
		existing: live.ID, deleted: gone.ID, random: "dc1dvq1ksdudpvuabtf0",
		fresh: func() string { return alice.CreateKafka(freshName()).ID },
	}
	kept, removed := s.makeAccount(alice), s.makeAccount(alice)
	alice.Do("DELETE", "/service_accounts/"+removed.ID, nil).Must(204)
	s.objects["account"] = object{
		existing: kept.ID, deleted: removed.ID, random: "6f4ae3ab-0f4e-4f0e-93a5-8d2f3c1b7e90",
		fresh: func() string { return s.makeAccount(alice).ID },
	}
	s.account = kept.ClientID
	row := s.Row(live.ID)
	s.Observatorium.Put(observatorium.Series{
		Labels:  map[string]string{"__name__": metric, "namespace": row.Namespace, "strimzi_io_kind": "Kafka", "topic": marker},
		Samples: []observatorium.Sample{{At: time.Now(), Value: 4711}},
	})
	host, _, _ := strings.Cut(row.BootstrapServerHost, ":")
	s.secrets = []string{
		marker, live.ID, gone.ID, kept.ID, kept.ClientID, kept.ClientSecret, removed.ID, removed.ClientID,
		row.PlacementID, host, harness.Organisation, "account-alice", `"alice"`,
	}
	for _, text := range s.secrets {
		require.NotEmpty(t, text, "a marker that is always found")
	}
	return s
}

func (s scene) makeAccount(by *harness.Caller) account {
	var made account
	by.Do("POST", "/service_accounts", `{"name":"`+marker+`","description":"`+marker+`"}`).Must(202).Into(&made)
	return made
}

// buryCluster leaves the row of a cluster that was removed.
func (s scene) buryCluster(t *testing.T) {
	t.Helper()
	s.Exec(`INSERT INTO clusters SELECT (jsonb_populate_record(c, jsonb_build_object('id', 'grave', 'cluster_id', ?::text, 'client_id',
		'kas-fleetshard-agent-' || ?, 'deleted_at', now()))).* FROM clusters c WHERE cluster_id = ?`, clusterGone, clusterGone, harness.ClusterTwo)
}

// caller is somebody who tries.
type caller struct {
	*harness.Caller

	name string
	kind kind
}

type kind int

const (
	nobody         kind = iota // without a token
	owner                      // has the objects
	colleague                  // of the same organisation
	admin                      // of the same organisation
	stranger                   // of another organisation, its administrator or not
	agentHere                  // of the cluster that the paths name
	staff                      // administers the service, and nothing of any customer
	alien                      // a sound token that is for something else
	denied                     // on the deny list
	homeless                   // of no organisation
	machine                    // a service account of the organisation, which may only scrape
	strangeMachine             // one of another organisation
)

func (s scene) callers(t *testing.T) []caller {
	t.Helper()
	mint := func(realm string, claims map[string]any) *harness.Caller {
		token, err := s.SSO.Mint(realm, claims)
		require.NoError(t, err)
		return s.Bearing(token)
	}
	client := func(id string) *harness.Caller {
		token, err := s.SSO.ClientToken(harness.Realm, id)
		require.NoError(t, err)
		return s.Bearing(token)
	}
	alices := map[string]any{
		"username": harness.Alice, "org_id": harness.Organisation, "account_id": "account-alice", "is_org_admin": true,
		"clientId": "kas-fleetshard-agent-" + harness.ClusterOne, "realm_access": map[string]any{"roles": []string{"kas-fleet-manager-admin-full"}},
	}
	return []caller{
		{s.Bearing(""), "nobody", nobody},
		{s.As(harness.Dave), "a member of another organisation", stranger},
		{s.As(harness.Mallory), "an administrator of another organisation", stranger},
		{s.As(harness.Eve), "a denied user", denied},
		{s.As(harness.Nora), "a user of no organisation", homeless},
		{s.AsAgent(harness.ClusterTwo), "the agent of another cluster", alien},
		{mint(harness.Realm, map[string]any{"clientId": "kas-fleetshard-agent-" + clusterGone}), "the agent of a removed cluster", alien},
		{client(s.account), "Alice's service account", machine},
		{mint(harness.Realm, map[string]any{"clientId": "srvc-acct-daves", "username": harness.Dave, "rh-org-id": harness.LimitedOrganisation}), "a service account of another organisation", strangeMachine},
		{client(kafka.CanaryClientID(kafka.ID(s.objects["kafka"].existing))), "the instance's canary", machine},
		{mint(harness.AdminRealm, alices), "the admin realm, saying it is Alice", staff},
		{s.As(harness.Reader), "an administrator who may read", staff},
		{mint(harness.AdminRealm, map[string]any{
			"username": harness.Alice, "org_id": harness.Organisation, "realm_access": map[string]any{"roles": []string{"cos-fleet-manager-admin-full"}},
		}), "the admin realm, without a role of ours", alien},
		{mint(harness.Realm, map[string]any{"username": harness.Boss, "realm_access": alices["realm_access"]}), "the SSO realm, with an administrator's role", alien},
		{mint(harness.Realm, map[string]any{"username": harness.Alice, "org_id": harness.Organisation, "is_org_admin": true}), "the SSO realm, saying it is Alice", machine},
		{mint(harness.UserRealm, alices), "Alice, saying she is the agent", owner},
		{s.AsAgent(harness.ClusterOne), "the cluster's agent", agentHere},
		{s.As(harness.Bob), "a colleague", colleague},
		{s.As(harness.Carol), "the organisation's administrator", admin},
		{s.As(harness.Alice), "the owner", owner},
	}
}
