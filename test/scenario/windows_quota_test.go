package scenario

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/faultproxy"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// The windows around quota that is reserved outside, and orders that are sent
// again; see windows_test.go.

const authorisations = "/cluster_authorizations$"

// lost is a reservation that is made, and of which nobody hears.
var lost = emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.After, Status: 502, Times: 1}

// untouched demands that nothing is left of an order that came to nothing.
func untouched(h *harness.World) {
	h.Until("the end of the order", func() (bool, string) {
		var rows int
		h.Scan(&rows, "SELECT count(*) FROM kafka_requests WHERE deleted_at IS NULL")
		return rows == 0, strconv.Itoa(rows) + " rows"
	})
}

func TestWindow01AnOrderLeftWhileReservingIsUndone(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Faulty(), harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 1}))
	alice := h.As(harness.Alice)
	for name, fault := range map[string]emulator.Fault{
		"made and not heard of": lost,
		"cut off":               {Method: http.MethodPost, Path: authorisations, Mode: emulator.ResetAfter, Times: 1},
	} {
		h.AMS.Inject(fault)
		// The loop cannot undo it yet, so there is a moment to look at.
		h.AMS.Inject(emulator.Fault{Path: "/subscriptions", Mode: emulator.Before, Status: 503})
		alice.Create(harness.Order{Name: "one"}).MustFail(500, 9)
		require.Len(t, h.AMS.Subscriptions(), 1, name)
		var id string
		h.Scan(&id, "SELECT id FROM kafka_requests WHERE deleted_at IS NULL AND status = 'reserving'")
		require.NotEmpty(t, id, name)
		require.Equal(t, 1, h.Cluster(harness.ClusterOne).CapacityUsed, "its room is kept for it")
		list := alice.List()
		require.Empty(t, list.Items)
		require.Zero(t, list.Total)
		require.Zero(t, alice.List("search", "status = reserving").Total)
		alice.Do(http.MethodGet, "/kafkas/"+id, nil).MustFail(404, 7)
		alice.Do(http.MethodGet, "/kafkas/"+id+"/metrics/query", nil).MustFail(404, 7)
		alice.Do(http.MethodPatch, "/kafkas/"+id, map[string]any{"reauthentication_enabled": false}).MustFail(404, 7)
		alice.Do(http.MethodDelete, "/kafkas/"+id+"?async=true", nil).MustFail(404, 7)
		alice.Create(harness.Order{Name: "one"}).MustFail(409, 36)
		require.Empty(t, h.Agent(harness.ClusterOne).Lists())

		h.AMS.ClearFaults()
		untouched(h)
		h.WaitGone(id)
		require.Equal(t, []string{"created", "unreserved"}, h.History(id))
	}
	require.Empty(t, h.AMS.Subscriptions())
	require.Zero(t, h.Cluster(harness.ClusterOne).CapacityUsed)
	h.WaitStatus(alice.CreateKafka("one").ID, kafka.Ready)
}

func TestWindow01AReservationThatTakesEffectLateIsReleased(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Faulty())
	// The service does nothing for so long that the order is given up, and nothing is there to be released.
	h.AMS.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.Before, Status: 503, Times: 1})
	began := time.Now()
	h.As(harness.Alice).Create(harness.Order{Name: "one"}).MustFail(500, 9)
	var id string
	h.Scan(&id, "SELECT id FROM kafka_requests WHERE status = 'reserving'")
	h.WaitRow(id, "a look that found nothing", func(k kafka.Kafka) bool { return k.Attempts > 0 })
	// Now it is done after all.
	h.AMS.Reserve(ams.Subscription{ClusterID: id, Product: "RHOSAK", BillingModel: "standard", Count: 1, Creator: harness.Alice})
	require.Len(t, h.AMS.Subscriptions(), 1)
	h.WaitGone(id)
	require.Greater(t, time.Since(began), 10*time.Second, "it was not believed at once that nothing is there")
}

func TestWindow02AnOrderIsRefusedBeforeItsQuotaIsReserved(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 1}))
	alice := h.As(harness.Alice)
	alice.CreateKafka("one")
	h.AMS.ClearJournal()
	alice.Create(harness.Order{Name: "one"}).MustFail(409, 36)
	alice.Create(harness.Order{Name: "two"}).MustFail(403, 24)
	alice.Create(harness.Order{Name: "two", Plan: "standard.x9"}).MustFail(400, 42)
	require.Empty(t, h.AMS.JournalOf(http.MethodPost, authorisations))
	require.Len(t, h.AMS.Subscriptions(), 1)
}

func TestWindow03QuotaOutsideIsGivenExactly(t *testing.T) {
	t.Parallel()
	const units = 3
	h := harness.New(t, harness.AccountsQuota(), harness.Replicas(3))
	h.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: units})
	calls := orders(h, 9, func(i int) (string, harness.Order) {
		return []string{harness.Alice, harness.Bob, harness.Carol}[i%3], harness.Order{Name: "kafka-" + strconv.Itoa(i)}
	})
	counts := together(calls...)
	require.Equal(t, map[outcome]int{accepted: units, refused(403, 120): 9 - units}, counts)
	require.Len(t, h.AMS.Subscriptions(), units)
	require.Equal(t, units, h.Cluster(harness.ClusterOne).CapacityUsed)
	alice := h.As(harness.Alice)
	mine := alice.List().Items
	require.Len(t, mine, units)
	h.WaitStatus(mine[0].ID, kafka.Ready)
	h.As(harness.Carol).Delete(mine[0].ID)
	h.WaitGone(mine[0].ID)
	alice.CreateKafka("again") // what was deleted is free again
	alice.Create(harness.Order{Name: "more"}).MustFail(403, 120)
}

func TestWhatTheServiceRefusesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota())
	alice := h.As(harness.Alice)
	h.AMS.PutAccount(ams.Account{ID: "account-alice", Username: harness.Alice, OrgExternalID: harness.Organisation, Banned: true})
	refusal := alice.Create(harness.Order{Name: "one"}).MustFail(403, 120).Error()
	require.Contains(t, refusal.Reason, "Insufficient quota: ")
	require.NotContains(t, refusal.Reason, "banned", "what the service says is for the log")
	h.AMS.PutAccount(ams.Account{ID: "account-alice", Username: harness.Alice, OrgExternalID: harness.Organisation})
	for _, status := range []int{429, 451} {
		h.AMS.Inject(emulator.Fault{Method: http.MethodPost, Path: authorisations, Mode: emulator.Before, Status: status, Times: 1})
		alice.Create(harness.Order{Name: "one"}).MustFail(403, 120)
	}
	var rows int
	h.Scan(&rows, "SELECT count(*) FROM kafka_requests WHERE deleted_at IS NULL")
	require.Zero(t, rows)
	require.Zero(t, h.Cluster(harness.ClusterOne).CapacityUsed)
	require.Empty(t, h.AMS.Subscriptions())
	alice.CreateKafka("one")
}

func TestWindow13QuotaThatIsReleasedAlreadyIsNoObstacle(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota())
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	row := h.WaitStatus(k.ID, kafka.Ready)
	require.Equal(t, []string{"ams", h.AMS.Subscriptions()[0].ID}, []string{row.QuotaType, row.SubscriptionID})
	h.AMS.Inject(emulator.Fault{Method: http.MethodDelete, Mode: emulator.ResetAfter, Times: 1})
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
	require.Empty(t, h.AMS.Subscriptions())
}

// Quota is given back when nothing uses it any more, and not before.
func TestQuotaIsReleasedLast(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota())
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.WaitStatus(k.ID, kafka.Ready)
	h.SSO.Inject(emulator.Fault{Method: http.MethodDelete, Path: ssoAdmin, Mode: emulator.Before, Status: 503})
	alice.Delete(k.ID)
	h.Until("an attempt at the client", func() (bool, string) {
		return len(h.SSO.JournalOf(http.MethodDelete, ssoAdmin)) > 1, "none"
	})
	require.Len(t, h.AMS.Subscriptions(), 1)
	h.SSO.ClearFaults()
	h.WaitGone(k.ID)
}

// An instance keeps the quota that it was born with: the flag is for new ones.
func TestWindow37QuotaIsReleasedWhereItWasReserved(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota())
	alice := h.As(harness.Alice)
	old := alice.CreateKafka("old")
	h.WaitStatus(old.ID, kafka.Ready)
	before := h.Replica(0)
	h.Reset("quota-type", "quota-management-list")
	h.StartReplica()
	before.Stop()
	fresh := alice.CreateKafka("fresh")
	require.Equal(t, "quota-management-list", h.WaitStatus(fresh.ID, kafka.Ready).QuotaType)
	require.Len(t, h.AMS.Subscriptions(), 1)
	alice.Delete(old.ID)
	h.WaitGone(old.ID)
	require.Empty(t, h.AMS.Subscriptions())
	alice.Delete(fresh.ID)
	h.WaitGone(fresh.ID)
}

func TestWindow40AnOrderThatIsSentAgainGivesTheSameInstance(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Replicas(2), harness.ManualAgents())
	alice := h.As(harness.Alice).With("Idempotency-Key", "key 1~")
	order := harness.Order{Name: "one", CloudProvider: "aws"}
	var first, again harness.Kafka
	alice.Create(order).Must(202).Into(&first)
	alice.At(h.Replica(1)).Create(order).Must(202).Into(&again)
	require.Equal(t, first.ID, again.ID)
	h.WaitStatus(first.ID, kafka.Provisioning)
	alice.Create(order).Must(202).Into(&again)
	require.Equal(t, "provisioning", again.Status, "as it is now")
	require.NotEmpty(t, again.BootstrapServerHost)

	for _, other := range []harness.Order{{Name: "two", CloudProvider: "aws"}, {Name: "one"}, {Name: "one", CloudProvider: "aws", Plan: "standard.x1"}} {
		require.Contains(t, alice.Create(other).MustFail(400, 21).Error().Reason, "other parameters")
	}
	h.As(harness.Bob).With("Idempotency-Key", "key 1~").Create(order).MustFail(409, 36) // the key is Alice's
	h.As(harness.Alice).With("Idempotency-Key", "key 2").Create(order).MustFail(409, 36)
	h.As(harness.Alice).Create(order).MustFail(409, 36)
	for key, code := range map[string]int{"": 33, strings.Repeat("k", 65): 34, "k\xffy": 21, "ключ": 21} {
		h.As(harness.Alice).With("Idempotency-Key", key).Create(order).MustFail(400, code)
	}
	h.As(harness.Alice).With("Idempotency-Key", strings.Repeat("k", 65)).Do(http.MethodPost, "/kafkas", order).MustFail(400, 103)

	h.As(harness.Alice).Delete(first.ID)
	alice.Create(order).Must(202).Into(&again)
	require.Equal(t, "deprovision", again.Status)
	h.Agent(harness.ClusterOne).Gone(first.ID)
	h.WaitGone(first.ID)
	require.Contains(t, alice.Create(order).MustFail(410, 25).Error().Reason, first.ID)
	h.Exec("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
	alice.Create(order).Must(202).Into(&again)
	require.NotEqual(t, first.ID, again.ID, "after a day the key is free")
}

func TestWindow40TwinsMakeOneInstance(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]harness.Option{"counted here": nil, "reserved outside": {harness.AccountsQuota()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t, append(options, harness.Replicas(2))...)
			for round := range 5 {
				order := harness.Order{Name: "kafka-" + strconv.Itoa(round)}
				var calls []func() harness.Response
				for i := range 6 {
					dave := h.Replica(i%2).As(harness.Alice).With("Idempotency-Key", "round "+strconv.Itoa(round))
					calls = append(calls, func() harness.Response { return dave.Create(order) })
				}
				require.Equal(t, map[outcome]int{accepted: 6}, together(calls...))
			}
			require.Equal(t, 5, int(h.As(harness.Alice).List().Total))
			require.Equal(t, 5, h.Cluster(harness.ClusterOne).CapacityUsed)
			if options != nil {
				require.Len(t, h.AMS.Subscriptions(), 5)
			}
		})
	}
}

func TestWindow40AnOrderLeftHalfWayIsFinishedByAskingAgain(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Faulty())
	alice := h.As(harness.Alice).With("Idempotency-Key", "again")
	h.AMS.Inject(lost)
	alice.Create(harness.Order{Name: "one"}).MustFail(500, 9)
	require.Empty(t, alice.List().Items)
	var k harness.Kafka
	alice.Create(harness.Order{Name: "one"}).Must(202).Into(&k)
	require.Equal(t, "accepted", k.Status)
	require.Len(t, h.AMS.Subscriptions(), 1)
	require.Len(t, h.AMS.JournalOf(http.MethodPost, authorisations), 1, "what was reserved is found")
	h.WaitStatus(k.ID, kafka.Ready)

	// Once it is being undone it is too late; and then the key is free.
	alice = h.As(harness.Alice).With("Idempotency-Key", "late")
	h.AMS.Inject(lost)
	h.AMS.Inject(emulator.Fault{Path: "/subscriptions", Mode: emulator.Before, Status: 503})
	alice.Create(harness.Order{Name: "two"}).MustFail(500, 9)
	var id string
	h.Scan(&id, "SELECT id FROM kafka_requests WHERE status = 'reserving'")
	h.Exec("UPDATE kafka_requests SET next_attempt_at = now() WHERE id = ?", id)
	h.Until("the decision to undo it", func() (bool, string) {
		in := h.Intents(id)
		return in[0].State == ledger.Deleting, string(in[0].State)
	})
	alice.Create(harness.Order{Name: "two"}).MustFail(409, 6)
	h.AMS.ClearFaults()
	h.WaitGone(id)
	alice.Create(harness.Order{Name: "two"}).Must(202).Into(&k)
	require.NotEqual(t, id, k.ID)
}

// That an order is accepted is true as soon as it is committed, heard of or not.
func TestWindow01AnAcceptedOrderWhoseCommitIsNotHeardOf(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Proxied(), harness.Faulty())
	trap := h.Replica(0).Database.Trap(faultproxy.Cut{At: faultproxy.AfterCommit, Match: regexp.MustCompile(`(?s)kafka_events.*"reserved"`)})
	k := h.As(harness.Alice).CreateKafka("one")
	require.Equal(t, 1, trap.Fired())
	h.WaitStatus(k.ID, kafka.Ready)
	require.Len(t, h.AMS.Subscriptions(), 1)
}

func TestAnOrderShowsHowItIsBilled(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Before(func(w *harness.World) {
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 1})
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "marketplace", Allowed: 5})
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAKEval", BillingModel: "standard", Allowed: 5})
		w.AMS.SetCloudAccounts(harness.Organisation, ams.CloudAccount{ID: "123456789012", Provider: "aws"})
	}))
	alice := h.As(harness.Alice)
	model, market, account := "MarketPlace", "aws", "123456789012"
	text := func(s string) *string { return &s }
	var k harness.Kafka
	show := func() []string {
		return []string{k.InstanceType, k.BillingModel, k.Marketplace, k.BillingCloudAccountID}
	}
	into := func(r harness.Response) {
		k = harness.Kafka{}
		r.Must(202).Into(&k)
	}
	into(alice.Create(harness.Order{Name: "plain", ClusterID: text("")}))
	require.Equal(t, []string{"standard", "standard", "", ""}, show())
	into(alice.Create(harness.Order{Name: "found"}))
	require.Equal(t, []string{"standard", "marketplace", "aws", account}, show(), "standard quota is used up, and there is one account")
	into(alice.Create(harness.Order{Name: "named", BillingModel: &model, Marketplace: &market, BillingCloudAccountID: &account}))
	require.Equal(t, []string{"standard", "marketplace", "aws", account}, show())
	into(alice.Create(harness.Order{Name: "eval", BillingModel: text("eval")}))
	require.Equal(t, []string{"standard", "eval", "", ""}, show())
	require.Equal(t, k.ID+"-eval", h.AMS.Subscriptions()[3].ClusterID)
	require.Nil(t, k.ExpiresAt)

	alice.Create(harness.Order{Name: "other", BillingModel: text("gold")}).MustFail(400, 21)
	alice.Create(harness.Order{Name: "other", Marketplace: &market}).MustFail(400, 43)
	alice.Create(harness.Order{Name: "other", BillingCloudAccountID: text("000000000000")}).MustFail(400, 43)
	alice.Create(harness.Order{Name: "other", Marketplace: text("rhm"), BillingCloudAccountID: &account}).MustFail(400, 43)
	alice.Create(harness.Order{Name: "other", BillingModel: text("standard")}).MustFail(403, 120)

	var trial harness.Kafka
	h.As(harness.Mallory).Create(harness.Order{Name: "trial"}).Must(202).Into(&trial)
	require.Equal(t, []string{"developer", "standard"}, []string{trial.InstanceType, trial.BillingModel})
	require.Equal(t, 48*time.Hour, trial.ExpiresAt.Sub(trial.CreatedAt))
	h.As(harness.Mallory).Create(harness.Order{Name: "second"}).MustFail(403, 24)
	h.WaitStatus(k.ID, kafka.Ready)
	alice.Delete(k.ID)
	h.WaitGone(k.ID)
}

func TestWithoutTheAccountServiceAnOrderFailsAndNothingElse(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Faulty())
	alice := h.As(harness.Alice)
	k := alice.CreateKafka("one")
	h.AMS.Inject(emulator.Fault{Mode: emulator.Before, Status: 503})
	alice.Create(harness.Order{Name: "two"}).MustFail(500, 9)
	alice.Create(harness.Order{Name: "One"}).MustFail(400, 32)
	alice.Create(harness.Order{Name: "one"}).MustFail(409, 36)
	alice.Create(harness.Order{Name: "two", CloudProvider: "moon"}).MustFail(400, 30)
	h.WaitStatus(k.ID, kafka.Ready)
	require.Len(t, alice.List().Items, 1)
}
