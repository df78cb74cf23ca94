package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// A refusal tells what its reader has and nobody else's, and the same order, sent
// again under its key, is accepted once that is done.
func TestARefusalSaysWhatToDoAndTheOrderMayBeSentAgain(t *testing.T) {
	t.Parallel()
	aws, rhm := ams.CloudAccount{ID: "210987654321", Provider: "aws"}, ams.CloudAccount{ID: "7000001", Provider: "rhm"}
	h := harness.New(t, harness.AccountsQuota(), harness.Before(func(w *harness.World) {
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard"})
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "marketplace", Allowed: 2})
		w.AMS.SetCloudAccounts(harness.Organisation, aws, rhm)
		w.AMS.SetCloudAccounts(harness.LimitedOrganisation, ams.CloudAccount{ID: "999999999999", Provider: "aws"})
	}))
	text := func(s string) *string { return &s }
	ordered := func(key string, order harness.Order) harness.Response {
		return h.As(harness.Alice).With("Idempotency-Key", key).Create(order)
	}
	refused := func(key string, order harness.Order, status, code int, reason string) {
		t.Helper()
		require.Equal(t, reason, ordered(key, order).MustFail(status, code).Error().Reason)
	}
	accepted := func(key string, order harness.Order) (first harness.Kafka) {
		t.Helper()
		var again harness.Kafka
		ordered(key, order).Must(202).Into(&first)
		ordered(key, order).Must(202).Into(&again)
		require.Equal(t, first.ID, again.ID)
		return first
	}

	one := harness.Order{Name: "one"}
	refused("accounts", one, 403, 120, "Insufficient quota: several billing accounts are linked to the organisation, "+
		"name one as billing_cloud_account_id: 210987654321 (aws), 7000001 (rhm)")
	refused("foreign", harness.Order{Name: "one", BillingCloudAccountID: text("999999999999")}, 400, 43, "Billing account is missing or invalid: "+
		"billing account 999999999999 is not linked to the organisation, name one that is: 210987654321 (aws), 7000001 (rhm)")
	refused("model", harness.Order{Name: "one", BillingModel: text("standard")}, 403, 120, "Insufficient quota: the organisation has no quota "+
		"for standard instances of billing model standard, but it has some for another: name as billing_model marketplace")
	h.AMS.SetCloudAccounts(harness.Organisation, rhm)
	require.Equal(t, "rhm", accepted("accounts", one).Marketplace)

	alice := ams.Account{ID: "account-alice", Username: harness.Alice, OrgExternalID: harness.Organisation, Banned: true}
	h.AMS.PutAccount(alice)
	two := harness.Order{Name: "two"}
	refused("banned", two, 403, 120, "Insufficient quota: accounts management does not allow this account to order, "+
		"ask support whether it is blocked or held by export control")
	alice.Banned = false
	h.AMS.PutAccount(alice)
	accepted("banned", two)

	three := harness.Order{Name: "three"}
	refused("used up", three, 403, 120, "Insufficient quota: of the 2 streaming units for standard instances of billing model marketplace "+
		"2 are in use and 1 are asked for, delete an instance or have the quota raised")
	h.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "marketplace", Allowed: 3})
	accepted("used up", three)
	require.Len(t, h.AMS.Subscriptions(), 3)
}

// A standing is read before others order: what it did not foresee the service refuses,
// and the reason still names what is left.
func TestARefusalOfTheServiceNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.AccountsQuota(), harness.Before(func(w *harness.World) {
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 1})
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAKEval", BillingModel: "standard", Allowed: 1})
	}))
	text := func(s string) *string { return &s }
	alice, key := h.As(harness.Alice), h.As(harness.Alice).With("Idempotency-Key", "two")
	one := alice.CreateKafka("one")
	two := harness.Order{Name: "two", BillingModel: text("standard")}
	require.Equal(t, "Insufficient quota: the organisation's quota for the instance is used up, delete an instance or have the quota raised, "+
		"or name as billing_model eval", key.Create(two).MustFail(403, 120).Error().Reason)
	require.Equal(t, "Billing account is missing or invalid: billing account 1 is not linked to the organisation, and no other is that could be billed: link one first",
		alice.Create(harness.Order{Name: "two", BillingCloudAccountID: text("1"), ClusterID: text(harness.ClusterOne)}).MustFail(400, 43).Error().Reason,
		"what is wrong with the account comes before the cluster")
	alice.Delete(one.ID)
	h.WaitGone(one.ID)
	key.Create(two).Must(202)
	alice.Create(harness.Order{Name: "three", BillingModel: text("eval")}).Must(202)
}
