package compat

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestRhoasKeepsServiceAccounts: at the SSO's own API, whoever keeps the accounts.
func TestRhoasKeepsServiceAccounts(t *testing.T) {
	t.Parallel()
	for _, provider := range harness.SSOProviders() {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			h := idle(t, harness.SSOProvider(provider), harness.AccountLimit(2))
			r := newRhoas(t, h, harness.Alice)
			r.begin()
			list, err := r.door.ListAccounts(t.Context(), "0", "100")
			require.NoError(t, err)
			require.Empty(t, list)
			made, err := r.door.CreateAccount(t.Context(), "billing", "")
			require.NoError(t, err)
			h.Hide("a secret", made.Secret)
			require.Equal(t, harness.Alice, made.CreatedBy)

			read, err := r.account(made.ID)
			require.NoError(t, err)
			require.Equal(t, made.ClientID, read.ClientID)
			require.Empty(t, read.Secret, "shown once")
			fresh, err := r.door.ResetAccount(t.Context(), made.ID)
			require.NoError(t, err)
			h.Hide("a secret", fresh.Secret)
			require.NotEqual(t, made.Secret, fresh.Secret)

			second, err := r.door.CreateAccount(t.Context(), "shipping", "Of the other team.")
			require.NoError(t, err)
			_, err = r.door.CreateAccount(t.Context(), "one-more", "")
			require.Equal(t, "service_account_limit_exceeded", sdk.AccountFaultOf(err).ID)
			require.NotEmpty(t, sdk.AccountFaultOf(err).Description)
			list, err = r.door.ListAccounts(t.Context(), "1", "1")
			require.NoError(t, err)
			require.Len(t, list, 1, "first counts from 0")

			bob := newRhoas(t, h, harness.Bob)
			_, err = bob.account(made.ID)
			require.NoError(t, err)
			require.Equal(t, "service_account_access_invalid", sdk.AccountFaultOf(bob.door.DeleteAccount(t.Context(), made.ID)).ID)
			for _, id := range []string{made.ID, second.ID} {
				_, err = r.account(id)
				require.NoError(t, err)
				require.NoError(t, r.door.DeleteAccount(t.Context(), id))
				_, err = r.account(id)
				require.Equal(t, "service_account_not_found", sdk.AccountFaultOf(err).ID)
			}
		})
	}
}

// TestBothPathsLeadToTheRealm: tokens always come from below /auth, accounts from the URL as it was given.
func TestBothPathsLeadToTheRealm(t *testing.T) {
	t.Parallel()
	h := idle(t)
	short := sdk.SSO{URL: h.SSOURL() + "/realms/" + harness.UserRealm, HTTP: newHTTP(t)}
	c := &sdk.Client{Base: short.URL, HTTP: short.HTTP, Token: exchange(short, cliClient, offlineToken(t, h, harness.Alice))}
	made, err := c.CreateAccount(t.Context(), "billing", "")
	require.NoError(t, err)
	h.Hide("a secret", made.Secret)
	require.NoError(t, c.DeleteAccount(t.Context(), made.ID))
}

// TestTheAccountsOpenTheAPI: what the tools made logs in as a program of the organisation.
func TestTheAccountsOpenTheAPI(t *testing.T) {
	t.Parallel()
	h := idle(t, harness.SSOProvider(harness.RedHatSSO))
	r := newRhoas(t, h, harness.Alice)
	r.begin()
	made, err := r.door.CreateAccount(t.Context(), "robot", "")
	require.NoError(t, err)
	h.Hide("a secret", made.Secret)
	robot := &sdk.Client{Base: h.Origin(), HTTP: newHTTP(t), Token: func(ctx context.Context) (string, error) {
		got, err := r.sso.Grant(ctx, "grant_type", "client_credentials", "client_id", made.ClientID, "client_secret", made.Secret)
		return got.Access, err
	}}
	_, reply, err := robot.ListKafkas(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.Status)
	require.NoError(t, r.door.DeleteAccount(t.Context(), made.ID))
}
