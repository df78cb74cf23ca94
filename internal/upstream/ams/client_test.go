package ams_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

func newWorld(t *testing.T) (*ams.Client, *emulator.Emulated) {
	t.Helper()
	client, faults, _ := newWorldWithState(t)
	return client, faults
}

func newWorldWithState(t *testing.T) (*ams.Client, *emulator.Emulated, *emulated.AMS) {
	t.Helper()
	state := emulated.New(emulated.Options{Self: "fleet", Accounts: []emulated.Account{
		{Username: "fleet", OrgExternalID: "1"}, {Username: "alice", OrgExternalID: "13640203"},
		{Username: "o'neil", OrgExternalID: "13640203"}, {Username: "eve", OrgExternalID: "13640203", Banned: true},
		{Username: `back\`, OrgExternalID: "2"}, {Username: "late", OrgExternalID: "2", TermsRequired: true},
	}, Organisations: []emulated.Organisation{{
		ExternalID: "13640203", CloudAccounts: []emulated.CloudAccount{{ID: "123456789012", Provider: "aws"}},
		Quota: []emulated.Quota{{Product: "RHOSAK", BillingModel: "standard", Allowed: 2}, {Product: "RHOSAKTrial", BillingModel: "standard", Free: true}},
	}}})
	faults := emulator.Wrap("ams", state.Handler())
	server := httptest.NewServer(faults)
	t.Cleanup(server.Close)
	t.Cleanup(faults.ClearFaults)
	client, err := ams.New(ocm.Config{
		AMSBaseURL: server.URL, TokenURL: server.URL, Token: log.Secret(offline(t)), Timeout: time.Second,
	}, discard())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client, faults, state
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// offline is a token that the service takes for the fleet manager's.
func offline(t *testing.T) string {
	t.Helper()
	claims := jwt.MapClaims{"typ": "Bearer", "exp": time.Now().Add(time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("key"))
	require.NoError(t, err)
	return token
}

func TestAccount(t *testing.T) {
	t.Parallel()
	client, _ := newWorld(t)
	for username, want := range map[string]ams.Account{
		"alice": {ID: "account2", Username: "alice", OrgExternalID: "13640203"}, "o'neil": {ID: "account3", Username: "o'neil", OrgExternalID: "13640203"},
		"eve": {ID: "account4", Username: "eve", Banned: true, OrgExternalID: "13640203"}, `back\`: {ID: "account5", Username: `back\`, OrgExternalID: "2"},
	} {
		got, ok, err := client.Account(t.Context(), username)
		require.NoError(t, err, username)
		require.True(t, ok, username)
		require.Equal(t, want, got)
	}
	for _, username := range []string{"nobody", "", "ALICE", "x' or username = 'alice", "'", "''", "alice' or '1' = '1", "%"} {
		_, ok, err := client.Account(t.Context(), username)
		require.NoError(t, err, username)
		require.False(t, ok, username)
	}
}

func TestCurrentAccount(t *testing.T) {
	t.Parallel()
	client, _ := newWorld(t)
	got, err := client.CurrentAccount(t.Context())
	require.NoError(t, err)
	require.Equal(t, ams.Account{ID: "account1", Username: "fleet", OrgExternalID: "1"}, got)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	client, faults := newWorld(t)
	for _, c := range []struct {
		fault emulator.Fault
		want  error
	}{
		{emulator.Fault{Mode: emulator.Before, Status: http.StatusTooManyRequests}, ocm.ErrThrottled},
		{emulator.Fault{Mode: emulator.Before, Status: http.StatusForbidden}, ocm.ErrUnauthorised},
		{emulator.Fault{Mode: emulator.ResetBefore}, ocm.ErrUnavailable},
		{emulator.Fault{Mode: emulator.Garbage}, ocm.ErrUnavailable},
		{emulator.Fault{Mode: emulator.Hang}, context.DeadlineExceeded},
	} {
		faults.Inject(c.fault)
		_, ok, err := client.Account(t.Context(), "alice")
		require.ErrorIs(t, err, c.want)
		require.False(t, ok)
		_, err = client.CurrentAccount(t.Context())
		require.ErrorIs(t, err, c.want)
		faults.ClearFaults()
	}
}

func TestTermsAccepted(t *testing.T) {
	t.Parallel()
	client, faults := newWorld(t)
	accepted, _, err := client.TermsAccepted(t.Context(), "alice")
	require.NoError(t, err)
	require.True(t, accepted)
	accepted, _, err = client.TermsAccepted(t.Context(), "service-account-nobody-knows")
	require.NoError(t, err, "who has no account has accepted nothing")
	require.False(t, accepted)
	accepted, redirect, err := client.TermsAccepted(t.Context(), "late")
	require.NoError(t, err)
	require.False(t, accepted)
	require.NotEmpty(t, redirect)
	faults.Inject(emulator.Fault{Path: "terms_review", Mode: emulator.Before, Status: 503})
	_, _, err = client.TermsAccepted(t.Context(), "alice")
	require.ErrorIs(t, err, ocm.ErrUnavailable)
}
