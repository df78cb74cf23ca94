package access_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
)

func TestTableIsSound(t *testing.T) {
	t.Parallel()
	routes, actions := map[string]bool{}, map[string]bool{}
	for _, rule := range access.Rules() {
		route := rule.Method + " " + rule.Template
		require.False(t, routes[route], "%s twice", route)
		require.False(t, actions[rule.Action], "%s twice", rule.Action)
		routes[route], actions[rule.Action] = true, true
		require.Contains(t, []access.Audience{access.Public, access.User, access.Reader, access.Agent, access.Admin}, rule.Audience)
		require.Equal(t, strings.Contains(rule.Template, "/v1/admin/"), rule.Audience == access.Admin, route)
		require.Equal(t, rule.Audience == access.Admin, len(rule.Roles) > 0, route)
		require.Equal(t, strings.Contains(rule.Template, "/agent-clusters/"), rule.Audience == access.Agent, route)
		require.Equal(t, route == "POST "+kafkas, rule.Terms, route)
		found, ok := access.RuleFor(rule.Method, rule.Template)
		require.True(t, ok)
		require.Equal(t, rule, found)
	}
	_, ok := access.RuleFor(http.MethodPut, kafkas)
	require.False(t, ok)
}

// A route without a line would be refused for everybody, a line without a route is
// a hole that waits for one.
func TestTableIsThatOfTheSpecifications(t *testing.T) {
	t.Parallel()
	var wanted, got []string
	for _, document := range [][]byte{openapi.PublicYAML(), openapi.AgentYAML(), openapi.AdminYAML()} {
		spec, err := openapi3.NewLoader().LoadFromData(document)
		require.NoError(t, err)
		for path, item := range spec.Paths.Map() {
			for method := range item.Operations() {
				wanted = append(wanted, method+" "+path)
			}
		}
	}
	for _, rule := range access.Rules() {
		got = append(got, rule.Method+" "+rule.Template)
	}
	require.ElementsMatch(t, wanted, got)
}

// Every audience against every kind of caller, over the whole table.
func TestEachAudienceTakesItsOwnCallersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type answer struct {
		code   apierr.Code
		reason string
	}
	no, nobody, nowhere := answer{apierr.Unauthenticated, ""}, answer{}, answer{apierr.NotFound, ""}
	callers := map[string]struct {
		token       string
		user, agent answer
		admin       bool // is one
		machine     bool // may read what service accounts of an organisation may
	}{
		"customer":                   {w.users.token(w.alice()), nobody, nowhere, false, false},
		"customer with the agent id": {w.users.token(with(w.alice(), jwt.MapClaims{"clientId": "agent-c1"})), nobody, nowhere, false, false},
		"customer, no organisation":  {w.users.token(with(w.alice(), jwt.MapClaims{"org_id": nil})), no, nowhere, false, false},
		"customer, empty one":        {w.users.token(with(w.alice(), jwt.MapClaims{"org_id": "", "rh-org-id": "1"})), no, nowhere, false, false},
		"customer, no name":          {w.users.token(with(w.alice(), jwt.MapClaims{"username": nil})), no, nowhere, false, false},
		"agent":                      {w.sso.token(w.agent("agent-c1")), no, nobody, false, false},
		"agent, newer claim":         {w.sso.token(with(w.agent(""), jwt.MapClaims{"clientId": nil, "client_id": "agent-c1"})), no, nobody, false, false},
		"agent of another cluster":   {w.sso.token(w.agent("agent-c2")), no, nowhere, false, false},
		"agent, no client":           {w.sso.token(with(w.agent(""), jwt.MapClaims{"clientId": nil})), no, nowhere, false, false},
		"agent, empty client":        {w.sso.token(w.agent("")), no, nowhere, false, false},
		"service account as user":    {w.sso.token(with(w.agent("srvc-acct-1"), jwt.MapClaims{"username": "alice", "org_id": "13640203"})), no, nowhere, false, true},
		"service account":            {w.sso.token(with(w.agent("srvc-acct-1"), jwt.MapClaims{"preferred_username": "service-account-srvc-acct-1", "rh-org-id": "13640203"})), no, nowhere, false, true},
		"service account, no name":   {w.sso.token(with(w.agent("srvc-acct-1"), jwt.MapClaims{"username": nil, "preferred_username": nil, "rh-org-id": "13640203"})), no, nowhere, false, false},
		"staff":                      {w.admins.token(w.staff()), no, nowhere, true, false},
		"staff with the agent id":    {w.admins.token(with(w.staff(), jwt.MapClaims{"clientId": "agent-c1"})), no, nowhere, true, false},
		"staff without roles":        {w.admins.token(with(w.staff(), jwt.MapClaims{"realm_access": nil})), no, nowhere, false, false},
		"customer with staff's role": {w.users.token(with(w.alice(), jwt.MapClaims{"realm_access": w.staff()["realm_access"]})), nobody, nowhere, false, false},
		"agent with staff's role":    {w.sso.token(with(w.agent("agent-c1"), jwt.MapClaims{"realm_access": w.staff()["realm_access"]})), no, nobody, false, false},
	}
	check := func(err error, want answer, where string) {
		if want == nobody {
			require.NoError(t, err, where)
			return
		}
		t.Log(where)
		refused(t, err, want.code, want.reason)
	}
	for name, c := range callers {
		for _, rule := range access.Rules() {
			where := name + " " + rule.Method + " " + rule.Template
			_, err := w.call(rule.Method, rule.Template, "c1", c.token)
			switch rule.Audience {
			case access.Public:
				check(err, nobody, where)
			case access.User:
				check(err, c.user, where)
			case access.Reader:
				want := c.user
				if c.machine {
					want = nobody
				}
				check(err, want, where)
			case access.Agent:
				check(err, c.agent, where)
			case access.Admin:
				want := nowhere
				if c.admin {
					want = nobody
				}
				check(err, want, where)
			}
		}
		_, err := w.call(http.MethodGet, "", "", c.token)
		check(err, nobody, name+" on no route")
		_, err = w.call(http.MethodGet, api+"/forgotten", "", c.token)
		check(err, nowhere, name+" on a route without a rule")
	}
}

func TestOnlyACustomersTokenIsHandedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	authorized := func(template, path, token string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		ctx, err := w.Authorize(r, template)
		require.NoError(t, err)
		return access.TokenFrom(ctx).Reveal()
	}
	alice := w.users.token(w.alice())
	require.Equal(t, alice, authorized(kafkas, kafkas, alice))
	require.Empty(t, authorized("/api/kafkas_mgmt/v1/errors", "/api/kafkas_mgmt/v1/errors", alice))
	w.clients = map[string]string{"c1": "agent-1"}
	const agents = "/api/kafkas_mgmt/v1/agent-clusters/{id}"
	require.Empty(t, authorized(agents, strings.ReplaceAll(agents, "{id}", "c1"), w.sso.token(w.agent("agent-1"))))
}

func TestAgentsAreTiedToTheirCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"unknown", "fresh", "c2", ""} {
		for _, client := range []string{"agent-c1", ""} {
			_, err := w.call(http.MethodGet, cluster, id, w.sso.token(w.agent(client)))
			refused(t, err, apierr.NotFound, "")
		}
	}
	for _, path := range []string{"/agent-clusters/c1/status", "/agent-clusters/c2%2Fc1", "/agents/c1", "/agent-clusters/c1/"} {
		r := httptest.NewRequest(http.MethodGet, api+path, nil)
		r.Header.Set("Authorization", "Bearer "+w.sso.token(w.agent("agent-c1")))
		_, err := w.Authorize(r, cluster)
		refused(t, err, apierr.NotFound, "")
	}
	before := w.lookups.Load()
	_, err := w.call(http.MethodGet, cluster, "c1", w.users.token(w.alice()))
	refused(t, err, apierr.NotFound, "")
	require.Equal(t, before, w.lookups.Load(), "a foreign issuer costs no query")

	w.lookupErr = apierr.New(apierr.Conflict, "whatever the store says")
	_, err = w.call(http.MethodGet, cluster, "c1", w.sso.token(w.agent("agent-c1")))
	refused(t, err, apierr.General, "")
}

func TestPublicPathsNeedNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, open := range map[string]bool{
		"/api/kafkas_mgmt": true, api: true, api + "/errors": true, api + "/errors/7": true, api + "/openapi": true, api + "/sso_providers": true,
		api + "/errors/7/x": false, api + "/errorsx": false, api + "/openapi/x": false, kafkas: false, "/": false, "/api": false,
	} {
		// No template: a method that the router does not know there.
		_, err := w.Authorize(httptest.NewRequest(http.MethodPut, path, nil), "")
		require.Equal(t, open, err == nil, path)
	}
	r := httptest.NewRequest(http.MethodGet, api+"/errors", nil)
	r.Header.Set("Authorization", "Bearer rubbish")
	ctx, err := w.Authorize(r, api+"/errors")
	require.NoError(t, err, "no token is read")
	require.Zero(t, access.From(ctx))
}

func TestAudiencesOfTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.config.UserAudiences, w.config.AgentAudiences = []string{"kafkas", "fleet"}, []string{"agents"}
	})
	for _, c := range []struct {
		aud         any
		user, agent bool
	}{
		{nil, false, false},
		{"fleet", true, false},
		{[]string{"x", "agents"}, false, true},
		{[]string{"kafkas", "agents"}, true, true},
		{[]string{}, false, false},
	} {
		_, err := w.call(http.MethodGet, kafkas, "", w.users.token(with(w.alice(), jwt.MapClaims{"aud": c.aud})))
		require.Equal(t, c.user, err == nil)
		_, err = w.call(http.MethodGet, cluster, "c1", w.sso.token(with(w.agent("agent-c1"), jwt.MapClaims{"aud": c.aud})))
		require.Equal(t, c.agent, err == nil)
	}
}

// The realm of service accounts writes audiences of its own into their tokens, or none.
func TestAudiencesOfCustomersDoNotLockServiceAccountsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.UserAudiences = []string{"fleet"} })
	const federate = kafkas + "/{id}/metrics/federate"
	for _, aud := range []any{nil, "account"} {
		program := w.sso.token(with(w.agent("srvc-acct-1"), jwt.MapClaims{"preferred_username": "service-account-srvc-acct-1", "rh-org-id": "13640203", "aud": aud}))
		_, err := w.call(http.MethodGet, federate, "k1", program)
		require.NoError(t, err)
		_, err = w.call(http.MethodGet, kafkas, "", program)
		refused(t, err, apierr.Unauthenticated, "")
		_, err = w.call(http.MethodGet, federate, "k1", w.users.token(with(w.alice(), jwt.MapClaims{"aud": aud})))
		refused(t, err, apierr.Unauthenticated, "")
	}
}

func TestListsFollowTheirFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.config.EnableDenyList, w.config.DenyListFile = true, w.file(t, "deny.yaml", "- eve\n")
		w.config.EnableAccessList, w.config.AccessListFile = true, w.file(t, "access.yaml", "- 13640203\n- \"007\"\n")
	})
	ask := func(username, org string) error {
		_, err := w.call(http.MethodGet, kafkas, "", w.users.token(with(w.alice(), jwt.MapClaims{"username": username, "org_id": org})))
		return err
	}
	require.NoError(t, ask("alice", "13640203"))
	require.NoError(t, ask("alice", "007"))
	refused(t, ask("eve", "13640203"), apierr.Forbidden, "User 'eve' is not permitted to use the service")
	refused(t, ask("eve", "99"), apierr.Forbidden, "User 'eve' is not permitted to use the service")
	require.NoError(t, ask("Eve", "13640203"), "names are exact")
	refused(t, ask("alice", "99"), apierr.UnderMaintenance, "")
	_, err := w.call(http.MethodGet, cluster, "c1", w.sso.token(w.agent("agent-c1")))
	require.NoError(t, err, "the lists are about customers")

	w.run(t)
	w.file(t, "deny.yaml", "- alice\n")
	require.Eventually(t, func() bool { return ask("alice", "13640203") != nil }, 15*time.Second, 10*time.Millisecond)
	require.NoError(t, ask("eve", "13640203"), "remembered tokens do not bypass the lists, nor outlive them")
}

func TestListsThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "list.yaml")
	c := defaults()
	around := newSurroundings(access.KeycloakRealm("https://sso.example.test", "rhoas"))

	_, err := access.New(c, around)
	require.NoError(t, err, "lists that are off need no file")
	c.EnableDenyList, c.EnableAccessList, c.DenyListFile, c.AccessListFile = true, true, path, path
	_, err = access.New(c, around)
	require.ErrorContains(t, err, "list.yaml", "a file that was named must exist")
	for _, text := range []string{"eve: true", "- - eve", "- \"\"", "- eve\n---\n- bob"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err = access.New(c, around)
		require.ErrorContains(t, err, "list.yaml", text)
		// What keeps a replica from starting is told by "config validate" too, with its flags.
		require.ErrorContains(t, c.CheckFiles(), "deny-list-config-file", text)
		require.ErrorContains(t, c.CheckFiles(), "access-list-config-file", text)
	}
	c = defaults()
	c.EnableDenyList, c.KeysFile = true, path
	_, err = access.New(c, around)
	require.ErrorContains(t, err, "list.yaml", "a key file must hold keys")
	require.ErrorContains(t, c.CheckFiles(), "jwks-file")
	require.NoError(t, defaults().CheckFiles())
}

func TestTerms(t *testing.T) {
	t.Parallel()
	asked := 0
	var accepted bool
	var redirect string
	var down error
	w := newWorld(t, func(w *world) {
		w.config.EnableTerms = true
		w.terms = func(username string) (bool, string, error) {
			require.Equal(t, "alice", username)
			asked++
			return accepted, redirect, down
		}
	})
	create := func() error {
		_, err := w.call(http.MethodPost, kafkas, "", w.users.token(w.alice()))
		return err
	}
	_, err := w.call(http.MethodGet, kafkas, "", w.users.token(w.alice()))
	require.NoError(t, err)
	require.Zero(t, asked, "only creating asks")

	refused(t, create(), apierr.TermsNotAccepted, "")
	redirect = "javascript:alert(1)"
	refused(t, create(), apierr.TermsNotAccepted, "")
	redirect = "https://terms.example.test/?site=OCM"
	refused(t, create(), apierr.TermsNotAccepted, "Required terms have not been accepted, accept them at https://terms.example.test/?site=OCM")
	down = errors.Join(apierr.New(apierr.NotFound, "account"), errors.New("refused"))
	refused(t, create(), apierr.General, "")
	require.Equal(t, 4, asked, "refusals are not remembered")

	accepted, down = true, nil
	require.NoError(t, create())
	accepted = false
	require.NoError(t, create(), "acceptance is remembered")
	w.tick(w.now.Load().Add(5 * time.Minute))
	refused(t, create(), apierr.TermsNotAccepted, "Required terms have not been accepted, accept them at https://terms.example.test/?site=OCM")
}
