package scenario

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const accountsPath = "/service_accounts"

// atEveryProvider runs a test of service accounts at each kind of SSO: customers
// shall not notice which one it is, save where the test says so.
func atEveryProvider(t *testing.T, run func(t *testing.T, provider string)) {
	t.Helper()
	t.Parallel()
	for _, provider := range harness.SSOProviders() {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			run(t, provider)
		})
	}
}

func accountWorld(t *testing.T, provider string, more ...harness.Option) *harness.World {
	t.Helper()
	return harness.New(t, append([]harness.Option{
		harness.SSOProvider(provider), harness.Unequipped(), harness.Clusters(),
	}, more...)...)
}

func makeAccount(c *harness.Caller, name, description string) (made public.ServiceAccount) {
	c.Do(http.MethodPost, accountsPath, map[string]string{"name": name, "description": description}).Must(http.StatusAccepted).Into(&made)
	return made
}

func listAccounts(c *harness.Caller, pairs ...string) (list public.ServiceAccountList) {
	c.Do(http.MethodGet, accountsPath+"?"+harness.Query(pairs...), nil).Must(http.StatusOK).Into(&list)
	return list
}

func accountNames(list public.ServiceAccountList) []string {
	names := []string{}
	for _, a := range list.Items {
		names = append(names, a.Name)
	}
	return names
}

func TestLifeOfAServiceAccount(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider)
		alice := h.As(harness.Alice)
		made := makeAccount(alice, "billing", "Reads orders, slowly.")
		require.Regexp(t, `^[0-9a-f-]{36}$`, made.ID)
		require.Regexp(t, `^srvc-acct-[0-9a-f-]{36}$`, made.ClientID)
		require.Equal(t, "/api/kafkas_mgmt/v1/service_accounts/"+made.ID, made.Href)
		require.Equal(t, "ServiceAccount", made.Kind)
		require.Equal(t, "billing", made.Name)
		require.Equal(t, "Reads orders, slowly.", made.Description)
		require.Equal(t, harness.Alice, made.Owner)
		require.Equal(t, harness.Alice, made.CreatedBy)
		require.WithinDuration(t, time.Now(), made.CreatedAt, time.Minute)
		there, ok := h.SSO.Client(h.AccountRealm(), made.ClientID)
		require.True(t, ok)
		require.Equal(t, there.Secret, made.ClientSecret)
		require.Equal(t, harness.Organisation, there.Claims["rh-org-id"], "its tokens open the organisation's instances")
		require.Equal(t, harness.Alice, there.Claims["username"])

		shown := made
		shown.ClientSecret = ""
		var read public.ServiceAccount
		alice.Do(http.MethodGet, accountsPath+"/"+made.ID, nil).Must(http.StatusOK).Into(&read)
		require.Equal(t, shown, read)
		plain := makeAccount(alice, "plain", "")
		require.Empty(t, plain.Description)
		for _, pairs := range [][]string{{}, {"page", "1", "size", "1000"}, {"size", "0"}} {
			list := listAccounts(alice, pairs...)
			require.Equal(t, "ServiceAccountList", list.Kind)
			require.ElementsMatch(t, []string{"billing", "plain"}, accountNames(list), pairs)
		}
		found := listAccounts(alice, "client_id", made.ClientID)
		require.Len(t, found.Items, 1)
		require.Equal(t, made.ID, found.Items[0].ID)
		require.Empty(t, listAccounts(alice, "client_id", "srvc-acct-"+uuid.NewString()).Items)

		var reset public.ServiceAccount
		alice.Do(http.MethodPost, accountsPath+"/"+made.ID+"/reset_credentials", nil).Must(http.StatusOK).Into(&reset)
		require.NotEqual(t, made.ClientSecret, reset.ClientSecret)
		there, _ = h.SSO.Client(h.AccountRealm(), made.ClientID)
		require.Equal(t, there.Secret, reset.ClientSecret)

		require.Empty(t, alice.Do(http.MethodDelete, accountsPath+"/"+made.ID, nil).Must(http.StatusNoContent).Body)
		for _, call := range []struct{ method, path string }{
			{http.MethodGet, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/reset_credentials"},
		} {
			alice.Do(call.method, accountsPath+"/"+made.ID+call.path, nil).MustFail(http.StatusNotFound, 113)
		}
		require.Equal(t, []string{"plain"}, accountNames(listAccounts(alice)))
	})
}

func TestServiceAccountsAreChecked(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider)
		alice := h.As(harness.Alice)
		id, long := uuid.NewString(), strings.Repeat("a", 256)
		h.SSO.ClearJournal()
		for _, c := range []struct {
			body   any
			status int
			code   int
		}{
			{`{`, 400, 17}, {`[]`, 400, 17}, {`{"name":1}`, 400, 17}, {``, 400, 17},
			{map[string]string{"name": long[:51]}, 400, 34}, {map[string]string{}, 400, 33},
			{map[string]string{"name": "a", "description": long}, 400, 34},
			{map[string]string{"name": "A", "description": "!"}, 400, 38}, {map[string]string{"name": "a", "description": "!"}, 400, 39},
		} {
			alice.Do(http.MethodPost, accountsPath, c.body).MustFail(c.status, c.code)
		}
		for _, bad := range []struct {
			id   string
			code int
		}{{id + "0", 34}, {strings.ToUpper(id[:35]) + "F", 40}, {"x", 40}} {
			for _, call := range []struct{ method, path string }{
				{http.MethodGet, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/reset_credentials"},
			} {
				alice.Do(call.method, accountsPath+"/"+bad.id+call.path, nil).MustFail(http.StatusBadRequest, bad.code)
			}
		}
		alice.Do(http.MethodGet, accountsPath+"?client_id=", nil).MustFail(http.StatusBadRequest, 33)
		alice.Do(http.MethodGet, accountsPath+"?client_id="+long[:48], nil).MustFail(http.StatusBadRequest, 34)
		for _, query := range []string{"page=-1", "size=x", "page=x"} {
			alice.Do(http.MethodGet, accountsPath+"?"+query, nil).MustFail(http.StatusBadRequest, 17)
		}
		require.Empty(t, h.SSO.JournalOf("", accountCalls[provider]), "nothing of that is the SSO's business")
		if provider == harness.MasSSO { // the other one chooses client ids as it likes
			alice.Do(http.MethodGet, accountsPath+"?client_id=x", nil).MustFail(http.StatusBadRequest, 40)
		} else {
			require.Empty(t, listAccounts(alice, "client_id", "x").Items)
		}
	})
}

// accountCalls are the paths at the SSO under which accounts are, by provider.
var accountCalls = map[string]string{harness.MasSSO: "/admin/realms/", harness.RedHatSSO: "/apis/service_accounts/"}

func TestRightsOnServiceAccounts(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider)
		alice, bob, carol, mallory := h.As(harness.Alice), h.As(harness.Bob), h.As(harness.Carol), h.As(harness.Mallory)
		account := makeAccount(alice, "billing", "")
		at := accountsPath + "/" + account.ID
		for _, who := range []*harness.Caller{alice, bob, carol} {
			var read public.ServiceAccount
			who.Do(http.MethodGet, at, nil).Must(http.StatusOK).Into(&read)
			require.Equal(t, harness.Alice, read.CreatedBy)
			require.Empty(t, read.ClientSecret)
			require.Equal(t, []string{"billing"}, accountNames(listAccounts(who)))
		}
		bob.Do(http.MethodDelete, at, nil).MustFail(http.StatusForbidden, 4)
		bob.Do(http.MethodPost, at+"/reset_credentials", nil).MustFail(http.StatusForbidden, 4)
		require.Empty(t, listAccounts(mallory).Items)
		for _, call := range []struct{ method, path string }{
			{http.MethodGet, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/reset_credentials"},
		} {
			reply := mallory.Do(call.method, at+call.path, nil)
			if provider == harness.MasSSO {
				reply.MustFail(http.StatusForbidden, 4)
			} else { // strangers are told what the SSO tells them
				reply.MustFail(http.StatusNotFound, 113)
			}
		}
		there, _ := h.SSO.Client(h.AccountRealm(), account.ClientID)
		require.Equal(t, account.ClientSecret, there.Secret)
		carol.Do(http.MethodPost, at+"/reset_credentials", nil).Must(http.StatusOK)
		carol.Do(http.MethodDelete, at, nil).Must(http.StatusNoContent)
		h.Bearing("").Do(http.MethodGet, accountsPath, nil).MustFail(http.StatusUnauthorized, 15)
		h.As(harness.Nora).Do(http.MethodGet, accountsPath, nil).MustFail(http.StatusUnauthorized, 15)
		h.As(harness.Eve).Do(http.MethodPost, accountsPath, map[string]string{"name": "a"}).MustFail(http.StatusForbidden, 4)
	})
}

func TestLimitOfServiceAccountsHolds(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		const limit = 4
		h := accountWorld(t, provider, harness.AccountLimit(limit), harness.Replicas(2))
		var mu sync.Mutex
		statuses := map[int]int{}
		var all sync.WaitGroup
		for i := range 3 * limit {
			who := h.As([]string{harness.Alice, harness.Bob, harness.Carol}[i%3]).At(h.Replica(i % 2))
			all.Go(func() {
				reply := who.Do(http.MethodPost, accountsPath, map[string]string{"name": "billing"})
				if reply.Status != http.StatusAccepted {
					reply.MustFail(http.StatusForbidden, 115)
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[reply.Status]++
			})
		}
		all.Wait()
		require.Equal(t, map[int]int{http.StatusAccepted: limit, http.StatusForbidden: 2 * limit}, statuses)
		alice := h.As(harness.Alice)
		require.Len(t, listAccounts(alice).Items, limit)
		makeAccount(h.As(harness.Mallory), "of-another-organisation", "")
		h.As(harness.Carol).Do(http.MethodDelete, accountsPath+"/"+listAccounts(alice).Items[0].ID, nil).Must(http.StatusNoContent)
		makeAccount(alice, "again", "")
	})
}

func TestPagesOfServiceAccounts(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider, harness.AccountLimit(300))
		tool := doorOf(t, h, harness.Alice)
		var wanted []string
		for i := range 205 { // more than the SSO shows at a time
			name := "a" + strings.Repeat("b", i%40)
			wanted = append(wanted, name)
			tool.call(t, http.MethodPost, "", `{"name":"`+name+`"}`)
		}
		alice := h.As(harness.Alice)
		require.ElementsMatch(t, wanted, accountNames(listAccounts(alice, "size", "1000")))
		require.Len(t, listAccounts(alice).Items, 100, "without a size it is the usual one")
		seen := map[string]bool{}
		for page, count := range map[string]int{"1": 90, "2": 90, "3": 25, "4": 0} {
			list := listAccounts(alice, "page", page, "size", "90")
			require.Len(t, list.Items, count, page)
			require.Equal(t, []int32{90, 205}, []int32{list.Size, list.Total}, page)
			for _, a := range list.Items {
				require.False(t, seen[a.ID], "shown twice")
				seen[a.ID] = true
			}
		}
		require.Len(t, seen, len(wanted))
		end := listAccounts(alice, "page", "205", "size", "1") // a part that is full, and yet the last one
		require.Equal(t, []int32{205, 1, 205}, []int32{end.Page, end.Size, end.Total})
		last := end.Items[0]
		require.Len(t, listAccounts(alice, "client_id", last.ClientID).Items, 1)
		for id := range seen {
			tool.call(t, http.MethodDelete, "/"+id, "")
		}
	})
}

// door is the SSO's own API, as the command line tool uses it.
type door struct {
	h     *harness.World
	token string
}

func doorOf(t *testing.T, h *harness.World, user string) door {
	t.Helper()
	token, err := h.SSO.UserToken(user)
	require.NoError(t, err)
	return door{h, token}
}

// call sends a request, which must be answered with the status of its method.
func (d door) call(t *testing.T, method, path, body string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method,
		d.h.SSOURL()+"/auth/realms/redhat-external/apis/service_accounts/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+d.token)
	reply, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	raw, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	wanted := map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusCreated, http.MethodDelete: http.StatusNoContent}
	require.Equal(t, wanted[method], reply.StatusCode, string(raw))
	return raw
}

func TestAccountsAreTheSameThroughBothDoors(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider)
		tool := doorOf(t, h, harness.Alice)
		type account struct{ ID, ClientID, Secret, Name, CreatedBy string }
		var made account
		require.NoError(t, json.Unmarshal(tool.call(t, http.MethodPost, "", `{"name":"direct","description":"By the tool."}`), &made))
		h.Hide("a secret of the other door", made.Secret)
		alice := h.As(harness.Alice)
		var read public.ServiceAccount
		alice.Do(http.MethodGet, accountsPath+"/"+made.ID, nil).Must(http.StatusOK).Into(&read)
		require.Equal(t, made.ClientID, read.ClientID)
		require.Equal(t, "By the tool.", read.Description)
		require.Equal(t, harness.Alice, read.CreatedBy)
		alice.Do(http.MethodDelete, accountsPath+"/"+made.ID, nil).Must(http.StatusNoContent)

		mine := makeAccount(alice, "here", "")
		var list []account
		require.NoError(t, json.Unmarshal(tool.call(t, http.MethodGet, "?first=0&max=100", ""), &list))
		require.Len(t, list, 1)
		require.Equal(t, mine.ID, list[0].ID)
		require.Equal(t, mine.ClientID, list[0].ClientID)
		tool.call(t, http.MethodDelete, "/"+mine.ID, "")
		require.Empty(t, listAccounts(alice).Items)
		alice.Do(http.MethodGet, accountsPath+"/"+mine.ID, nil).MustFail(http.StatusNotFound, 113)
		alice.Do(http.MethodPost, accountsPath, map[string]string{"name": "more"}).Must(http.StatusAccepted)
	})
}

// TestEveryCallBearsItsOwnCaller: customers of three organisations call at once, and
// whatever is made or shown is the caller's.
func TestEveryCallBearsItsOwnCaller(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider, harness.AccountLimit(300))
		tool := doorOf(t, h, harness.Alice)
		const many = 150 // a list of them takes two calls, between which others are heard
		for range many {
			tool.call(t, http.MethodPost, "", `{"name":"of-alice"}`)
		}
		h.SSO.Inject(emulator.Fault{Path: accountCalls[provider], Mode: emulator.Slow, Delay: 5 * time.Millisecond})
		var all sync.WaitGroup
		for _, user := range []string{harness.Alice, harness.Mallory, harness.Dave} {
			who := h.As(user)
			for range 4 {
				all.Go(func() {
					for range 4 {
						made := makeAccount(who, "of-"+user, "")
						there, _ := h.SSO.Client(h.AccountRealm(), made.ClientID)
						if there.Attributes["username"] != user || made.CreatedBy != user {
							t.Errorf("%s made an account of %s, shown as %s's", user, there.Attributes["username"], made.CreatedBy)
						}
						names := accountNames(listAccounts(who, "size", "1000"))
						for _, name := range names {
							if name != "of-"+user {
								t.Errorf("%s sees %s", user, name)
							}
						}
						if user == harness.Alice && len(names) < many {
							t.Errorf("%s sees %d of her accounts", user, len(names))
						}
						who.Do(http.MethodDelete, accountsPath+"/"+made.ID, nil).Must(http.StatusNoContent)
					}
				})
			}
		}
		all.Wait()
		h.SSO.ClearFaults()
		alice := h.As(harness.Alice)
		for _, left := range listAccounts(alice, "size", "1000").Items {
			alice.Do(http.MethodDelete, accountsPath+"/"+left.ID, nil).Must(http.StatusNoContent)
		}
	})
}

func TestWhenTheSSOOfAccountsIsIll(t *testing.T) {
	faults := map[string]emulator.Fault{
		"down": {Mode: emulator.Before, Status: 503}, "cut off": {Mode: emulator.ResetBefore}, "garbage": {Mode: emulator.Garbage},
		"ten MiB": {Mode: emulator.Oversize}, "elsewhere": {Mode: emulator.Redirect}, "teapot": {Mode: emulator.Before, Status: 418},
	}
	// What each operation answers; mas_sso reads an account before it is changed.
	codes := map[string]map[string]int{
		harness.MasSSO:    {"create": 9, "list": 9, "find": 111, "get": 111, "reset": 111, "delete": 111},
		harness.RedHatSSO: {"create": 110, "list": 9, "find": 9, "get": 9, "reset": 9, "delete": 112},
	}
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider, harness.Faulty())
		alice := h.As(harness.Alice)
		made := makeAccount(alice, "billing", "")
		for name, fault := range faults {
			fault.Path = accountCalls[provider]
			h.SSO.Inject(fault)
			for operation, reply := range map[string]harness.Response{
				"create": alice.Do(http.MethodPost, accountsPath, map[string]string{"name": "x"}),
				"list":   alice.Do(http.MethodGet, accountsPath, nil),
				"find":   alice.Do(http.MethodGet, accountsPath+"?client_id="+made.ClientID, nil),
				"get":    alice.Do(http.MethodGet, accountsPath+"/"+made.ID, nil),
				"reset":  alice.Do(http.MethodPost, accountsPath+"/"+made.ID+"/reset_credentials", nil),
				"delete": alice.Do(http.MethodDelete, accountsPath+"/"+made.ID, nil),
			} {
				t.Log(name, operation)
				reply.MustFail(http.StatusInternalServerError, codes[provider][operation])
				require.NotContains(t, string(reply.Body), "169.254")
			}
			h.SSO.ClearFaults()
		}
		require.Equal(t, []string{"billing"}, accountNames(listAccounts(alice)))
	})
}

// TestAnAccountThatNobodyWasGivenIsTakenBack: the customer hangs up while the SSO
// makes the account.
func TestAnAccountThatNobodyWasGivenIsTakenBack(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider)
		create := map[string]string{harness.MasSSO: "/clients$", harness.RedHatSSO: "/apis/service_accounts/v1$"}[provider]
		h.SSO.Inject(emulator.Fault{Method: http.MethodPost, Path: create, Mode: emulator.Slow, Delay: 400 * time.Millisecond})
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		ended := make(chan struct{})
		alice := h.As(harness.Alice)
		go func() {
			defer close(ended)
			if _, err := alice.Try(ctx, http.MethodPost, accountsPath, map[string]string{"name": "billing"}); err == nil {
				t.Error("the call should have been cut off")
			}
		}()
		h.Until("the SSO being asked", func() (bool, string) { return len(h.SSO.JournalOf(http.MethodPost, create)) > 0, "nothing" })
		hangUp()
		<-ended
		if provider == harness.RedHatSSO { // the other one may not even have been asked to the end
			h.Until("the account being taken back", func() (bool, string) {
				return len(h.SSO.JournalOf(http.MethodDelete, accountCalls[provider])) > 0, "it is not"
			})
		}
		h.Until("no account", func() (bool, string) {
			left := slices.DeleteFunc(h.SSO.Clients(h.AccountRealm()), func(c sso.Client) bool { return !strings.HasPrefix(c.ClientID, "srvc-acct-") })
			return len(left) == 0, "an account"
		})
	})
}

func TestSSOProviders(t *testing.T) {
	atEveryProvider(t, func(t *testing.T, provider string) {
		h := accountWorld(t, provider)
		var shown public.SSOProvider
		h.Bearing("").Do(http.MethodGet, "/sso_providers", nil).Must(http.StatusOK).Into(&shown)
		issuer := h.SSOURL() + "/auth/realms/" + h.AccountRealm()
		require.Equal(t, public.SSOProvider{
			ID: provider, Kind: "SsoProvider", Href: "/api/kafkas_mgmt/v1/sso_providers", Name: provider, BaseURL: h.SSOURL(),
			TokenURL: issuer + "/protocol/openid-connect/token", JWKS: issuer + "/protocol/openid-connect/certs", ValidIssuer: issuer,
		}, shown)
	})
}
