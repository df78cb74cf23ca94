package ams_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	sdk "github.com/openshift-online/ocm-sdk-go"
	amsv1 "github.com/openshift-online/ocm-sdk-go/accountsmgmt/v1"
	authv1 "github.com/openshift-online/ocm-sdk-go/authorizations/v1"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

func dial(t *testing.T, o ams.Options) (*ams.AMS, *sdk.Connection) {
	t.Helper()
	state := ams.New(o)
	server := httptest.NewServer(state.Handler())
	t.Cleanup(server.Close)
	claims := jwt.MapClaims{"typ": "Bearer", "exp": time.Now().Add(time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("key"))
	require.NoError(t, err)
	conn, err := ocm.Connect(ocm.Config{TokenURL: server.URL, Token: log.Secret(token)}, server.URL, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return state, conn.Connection
}

func options() ams.Options {
	return ams.Options{
		Self: "alice",
		Accounts: []ams.Account{
			{Username: "alice", OrgExternalID: "1"}, {Username: "eve", OrgExternalID: "1", Banned: true},
			{Username: "mallory", OrgExternalID: "2", TermsRequired: true},
		},
		Organisations: []ams.Organisation{{
			ExternalID: "1", Name: "One", Quota: []ams.Quota{{Product: "RHOSAK", BillingModel: "standard", Allowed: 2}, {Product: "RHOSAK", BillingModel: "marketplace", Allowed: 1}},
			CloudAccounts: []ams.CloudAccount{{"123456789012", "aws"}},
		}},
	}
}

// wish is what a reservation asks for.
type wish struct {
	user, cluster, model string
	count                int
}

func reserve(t *testing.T, conn *sdk.Connection, w wish) (*amsv1.ClusterAuthorizationResponse, error) {
	t.Helper()
	body, err := amsv1.NewClusterAuthorizationRequest().AccountUsername(w.user).ProductID("RHOSAK").ClusterID(w.cluster).ExternalClusterID(w.cluster).Reserve(true).
		Resources(amsv1.NewReservedResource().ResourceName("rhosak").BillingModel(amsv1.BillingModel(w.model)).Count(w.count)).Build()
	require.NoError(t, err)
	answer, err := conn.AccountsMgmt().V1().ClusterAuthorizations().Post().Request(body).SendContext(t.Context())
	return answer.Response(), err
}

func TestQuotaIsReservedOncePerCluster(t *testing.T) {
	t.Parallel()
	state, conn := dial(t, options())
	first, err := reserve(t, conn, wish{"alice", "k1", "standard", 1})
	require.NoError(t, err)
	require.True(t, first.Allowed())
	again, err := reserve(t, conn, wish{"alice", "k1", "standard", 1})
	require.NoError(t, err)
	require.Equal(t, first.Subscription().ID(), again.Subscription().ID())

	over, err := reserve(t, conn, wish{"alice", "k2", "standard", 2})
	require.NoError(t, err)
	require.False(t, over.Allowed())
	market, err := reserve(t, conn, wish{"alice", "k3", "marketplace-aws", 1})
	require.NoError(t, err)
	require.True(t, market.Allowed())
	for _, user := range []string{"eve", "nobody"} {
		_, err = reserve(t, conn, wish{user, "k4", "standard", 1})
		require.Error(t, err)
	}
	require.Len(t, state.Subscriptions(), 2)

	subscriptions := conn.AccountsMgmt().V1().Subscriptions()
	listed, err := subscriptions.List().Search("cluster_id = 'k1' AND external_cluster_id = 'k1'").SendContext(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, listed.Total())
	id := listed.Items().Get(0).ID()
	_, err = subscriptions.Subscription(id).Get().SendContext(t.Context())
	require.NoError(t, err)
	_, err = subscriptions.Subscription(id).Delete().SendContext(t.Context())
	require.NoError(t, err)
	gone, err := subscriptions.Subscription(id).Delete().SendContext(t.Context())
	require.Error(t, err)
	require.Equal(t, http.StatusNotFound, gone.Status())
	over, err = reserve(t, conn, wish{"alice", "k2", "standard", 2})
	require.NoError(t, err)
	require.True(t, over.Allowed(), "deleting gave the quota back")
	state.SetAllowed("1", ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 3})
	more, err := reserve(t, conn, wish{"alice", "k5", "standard", 1})
	require.NoError(t, err)
	require.True(t, more.Allowed())
}

func TestQuotaCostAlwaysHasAnItem(t *testing.T) {
	t.Parallel()
	_, conn := dial(t, options())
	_, err := reserve(t, conn, wish{"alice", "k1", "standard", 1})
	require.NoError(t, err)
	for external, want := range map[string]int{"1": 2, "2": 1} {
		orgs, err := conn.AccountsMgmt().V1().Organizations().List().Search("external_id='" + external + "'").SendContext(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, orgs.Size())
		costs, err := conn.AccountsMgmt().V1().Organizations().Organization(orgs.Items().Get(0).ID()).QuotaCost().List().
			Parameter("fetchRelatedResources", true).Parameter("fetchCloudAccounts", true).SendContext(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, costs.Items().Len())
		cost := costs.Items().Get(0)
		require.Equal(t, "rhosak", cost.RelatedResources()[0].ResourceName())
		if external == "1" {
			require.Equal(t, 1, cost.Consumed())
			require.Equal(t, 2, cost.Allowed())
			require.Equal(t, "123456789012", cost.CloudAccounts()[0].CloudAccountID())
		}
	}
}

func TestTermsAndOwnAccount(t *testing.T) {
	t.Parallel()
	state, conn := dial(t, options())
	for user, want := range map[string]bool{"alice": false, "mallory": true} {
		body, err := authv1.NewTermsReviewRequest().AccountUsername(user).SiteCode("OCM").EventCode("register").Build()
		require.NoError(t, err)
		answer, err := conn.Authorizations().V1().TermsReview().Post().Request(body).SendContext(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, answer.Response().TermsRequired())
	}
	body, err := authv1.NewSelfTermsReviewRequest().SiteCode("ocm").EventCode("register").Build()
	require.NoError(t, err)
	answer, err := conn.Authorizations().V1().SelfTermsReview().Post().Request(body).SendContext(t.Context())
	require.NoError(t, err)
	require.False(t, answer.Response().TermsRequired())

	state.PutAccount(ams.Account{Username: "alice", OrgExternalID: "9", TermsRequired: true})
	own, err := conn.AccountsMgmt().V1().CurrentAccount().Get().SendContext(t.Context())
	require.NoError(t, err)
	require.Equal(t, "9", own.Body().Organization().ExternalID())
}

func TestPeopleChangeWhatTheServiceKnows(t *testing.T) {
	t.Parallel()
	e := ams.New(ams.Options{
		Accounts:      []ams.Account{{ID: "1", Username: "ann", OrgExternalID: "one", Banned: true, TermsRequired: true}},
		Organisations: []ams.Organisation{{ExternalID: "one", Quota: []ams.Quota{{Product: "RHOSAK", BillingModel: "standard", Allowed: 3}}}},
	})
	patch := func(path, body string) (int, string) {
		reply := httptest.NewRecorder()
		e.Changes().ServeHTTP(reply, httptest.NewRequest(http.MethodPatch, path, strings.NewReader(body)))
		return reply.Code, strings.TrimSpace(reply.Body.String())
	}
	status, body := patch("/accounts/ann", `{"terms_required":false}`)
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"id":"1","username":"ann","org_external_id":"one","banned":true,"terms_required":false}`, body)
	status, body = patch("/organisations/one", `{"cloud_accounts":[{"id":"7","provider":"aws"}]}`)
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"external_id":"one","name":"","ebs_account_id":"","quota":[{"product":"RHOSAK","billing_model":"standard","allowed":3,"free":false}],
		"cloud_accounts":[{"id":"7","provider":"aws"}]}`, body)
	for path, want := range map[string]int{"/accounts/nobody": 404, "/organisations/none": 404} {
		status, _ = patch(path, `{}`)
		require.Equal(t, want, status)
	}
	status, body = patch("/accounts/ann", `{"baned":false}`)
	require.Equal(t, 400, status)
	require.Contains(t, body, "baned")
}
