package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

// resolved parses arguments as the commands do.
func resolved(t *testing.T, environment map[string]string, args ...string) (settings, error) {
	t.Helper()
	var s settings
	fs := pflag.NewFlagSet("sandbox", pflag.ContinueOnError)
	s.flags(fs, ".run")
	require.NoError(t, fs.Parse(append([]string{"--fleet-manager=" + os.Args[0]}, args...)))
	return s, s.resolve(fs, func(name string) string { return environment[name] })
}

func TestSettingsComeFromTheEnvironmentUnlessGiven(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"REPLICAS": "3", "PORT_OFFSET": "200", "AGENTS": "none", "SANDBOX_POLL": "1s", "DATABASE_URL": "postgres://h/d",
		"SSO_PROVIDER": "redhat_sso",
	}
	s, err := resolved(t, environment)
	require.NoError(t, err)
	require.Equal(t, 3, s.Replicas)
	require.Equal(t, 200, s.Offset)
	require.True(t, s.atSSO())
	require.True(t, s.offsetGiven)
	require.False(t, s.agents())
	require.Equal(t, time.Second, s.Poll)
	require.Equal(t, "postgres://h/d", s.DatabaseURL)

	s, err = resolved(t, environment, "--replicas=1", "--agents=all")
	require.NoError(t, err)
	require.Equal(t, 1, s.Replicas)
	require.True(t, s.agents())
}

// A shell that sourced another world's sandbox.env once handed over that world's database.
func TestADatabaseOfAnotherWorldIsNotTaken(t *testing.T) {
	t.Parallel()
	s, err := resolved(t, map[string]string{"DATABASE_URL": "postgres://h/d", "SANDBOX_PID": "4711"})
	require.NoError(t, err)
	require.Empty(t, s.DatabaseURL)
	s, err = resolved(t, map[string]string{"SANDBOX_PID": "4711"}, "--database-url=postgres://h/d")
	require.NoError(t, err)
	require.Equal(t, "postgres://h/d", s.DatabaseURL, "what was asked for is done")
}

func TestMistakesInSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--replicas=0":             "REPLICAS: 0",
		"--replicas=4":             "REPLICAS: 4",
		"--port-offset=-1":         "PORT_OFFSET: -1",
		"--port-offset=60000":      "PORT_OFFSET: 60000",
		"--agents=some":            "AGENTS: \"some\"",
		"--sso-provider=ldap":      "SSO_PROVIDER: \"ldap\"",
		"--poll=1ms":               "SANDBOX_POLL: 1ms",
		"--fleet-manager=/no/such": "make build",
	} {
		_, err := resolved(t, nil, args)
		require.ErrorContains(t, err, want)
	}
	_, err := resolved(t, map[string]string{"REPLICAS": "many"})
	require.ErrorContains(t, err, "REPLICAS: ")
}

func TestPortsNeverMeet(t *testing.T) {
	t.Parallel()
	seen := map[int]string{}
	for _, offset := range []int{0, 200, 400, 600, 20000} { // what help and messages suggest
		for _, one := range portsOf(maxReplicas, offset).all() {
			require.Empty(t, seen[one.port], "%s of offset %d", one.name, offset)
			seen[one.port] = one.name
		}
	}
}

func TestATakenPortIsToldInOneLine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	port := portOf(t, server)
	err := ports{Gateway: port, Replicas: []replicaPorts{{}}}.check(t.Context())
	require.ErrorContains(t, err, "(gateway)")
	require.NotContains(t, err.Error(), "\n")
}

func portOf(t *testing.T, server *httptest.Server) int {
	t.Helper()
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	return port
}

func TestAShellReadsTheEnvironmentBack(t *testing.T) {
	t.Parallel()
	nasty := `it's "$HOME" \ ` + "`date`\n*"
	path := filepath.Join(t.TempDir(), environmentFile)
	require.NoError(t, os.WriteFile(path, []byte(shell([]variable{{"NASTY", nasty}, {"PLAIN", "1 2"}})), 0o600))
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `. "$1"; printf %s "$NASTY|$PLAIN"`, "sh", path).Output()
	require.NoError(t, err)
	require.Equal(t, nasty+"|1 2", string(out))
}

// echo answers with its name and what it was asked.
func echo(t *testing.T, name string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, name+" "+r.URL.RequestURI()+" "+string(body)+r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	return server
}

func TestGatewayRoutes(t *testing.T) {
	t.Parallel()
	const nobody = 1 // a port that no test or program is given when it asks for any
	handler := frontDoor(ports{
		OCM: portOf(t, echo(t, "ocm")), SSO: portOf(t, echo(t, "sso")),
		// A replica that is down costs no request.
		Replicas: []replicaPorts{{API: portOf(t, echo(t, "fleet"))}, {API: nobody}},
	}, func(user string) (string, error) {
		if user != "alice" {
			return "", errors.New("nobody")
		}
		return "token of " + user, nil
	})
	ask := func(path, body string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		return w.Body.String()
	}
	for range 4 {
		require.Equal(t, "fleet /api/kafkas_mgmt/v1/kafkas?async=true hello", ask("/api/kafkas_mgmt/v1/kafkas?async=true", "hello"))
	}
	require.Equal(t, "fleet /api/kafkas_mgmt ", ask("/api/kafkas_mgmt", ""))
	require.Equal(t, "ocm /api/accounts_mgmt/v1/current_account ", ask("/api/accounts_mgmt/v1/current_account", ""))
	require.Equal(t, "ocm /api/authorizations/v1/self_terms_review x", ask("/api/authorizations/v1/self_terms_review", "x"))
	require.Equal(t, "ocm /api/clusters_mgmt/v1/clusters?search=a ", ask("/api/clusters_mgmt/v1/clusters?search=a", ""))
	require.Equal(t, "sso /auth/realms/redhat-external/apis/service_accounts/v1?max=1 ", ask("/apis/service_accounts/v1?max=1", ""))
	require.Equal(t, "fleet /api/kafkas_mgmt/v1/kafkas?size=1 Bearer token of alice", ask("/as/alice/api/kafkas_mgmt/v1/kafkas?size=1", ""))
	require.Equal(t, "sso /auth/realms/redhat-external/apis/service_accounts/v1 Bearer token of alice", ask("/as/alice/apis/service_accounts/v1", ""))
	require.Contains(t, ask("/as/bob/api/kafkas_mgmt/v1/kafkas", ""), "nobody")
	require.Contains(t, ask("/elsewhere", ""), "the gateway knows no service at /elsewhere")
}

func TestTheFleetManagerCanReadItsFiles(t *testing.T) {
	t.Parallel()
	_, err := quota.Parse("quota list", []byte(quotaList()))
	require.NoError(t, err)
	file, err := cluster.ParseFile("cluster list", []byte(clusterList()))
	require.NoError(t, err)
	require.Len(t, file.Entries, len(clusters()))
}

// A child that another test is about to start holds, between fork and exec, a copy of all that is open.
func TestAFolderIsFreeWhenItIsReleased(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := claimFolder(dir, 0)
	require.NoError(t, err)
	copied, err := syscall.Dup(int(first.lock.Fd()))
	require.NoError(t, err)
	defer func() { _ = syscall.Close(copied) }()
	first.release()
	again, err := claimFolder(dir, 0)
	require.NoError(t, err)
	require.Equal(t, dir, again.path)
	again.release()
}

// Whoever grants quota, the same people have the same; and all of them are told of.
func TestPeopleHaveTheSameQuotaWhoeverGrantsIt(t *testing.T) {
	t.Parallel()
	list, err := quota.Parse("quota list", []byte(quotaList()))
	require.NoError(t, err)
	cat, err := catalog.Load(catalog.Config{InstanceTypesFile: catalog.DefaultInstanceTypesFile, ProvidersFile: catalog.DefaultProvidersFile})
	require.NoError(t, err)
	rules := quota.Rules{List: list, Catalog: cat, Config: quota.Config{EnforceLimits: true}}
	outside := map[string]int{}
	for _, o := range organisations() {
		for _, q := range o.Quota {
			outside[o.ExternalID+" "+q.Product+" "+q.BillingModel] = q.Allowed
		}
	}
	standard, _ := cat.InstanceType(catalog.Standard)
	granted := 0
	for _, c := range customerOrgs() {
		for _, m := range standard.BillingModels {
			category := m.ID
			if len(m.AMSBillingModels) == 1 {
				category = m.AMSBillingModels[0]
			}
			grant, err := rules.Resolve(quota.Request{Account: quota.Account{Username: "x", OrgID: c.id}, InstanceType: catalog.Standard, BillingModel: m.ID}, time.Now())
			if c.id == strangeOrg {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, outside[c.id+" "+m.AMSProduct+" "+category], grant.Limit, "%s %s", c.name, m.ID)
			granted += grant.Limit
		}
	}
	require.Equal(t, mainQuota+1+5+5+1, granted)

	page, err := os.ReadFile("../../docs/guides/try-refusals.md")
	require.NoError(t, err)
	for variable, user := range tokenOwners() {
		if !strings.HasPrefix(user, "admin") {
			require.Contains(t, guide, user+" ["+variable+"]")
			require.Contains(t, string(page), "`"+variable+"`")
			require.Contains(t, string(page), user)
		}
	}
	for _, a := range accounts() {
		require.Equal(t, []bool{a.Username == "bart", a.Username == "tess"}, []bool{a.Banned, a.TermsRequired}, a.Username)
	}
}

func TestOneWorldAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := claimFolder(dir, 0)
	require.NoError(t, err)
	second, err := claimFolder(dir, 200)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "offset-200"), second.path)
	_, err = claimFolder(dir, 200)
	require.ErrorContains(t, err, "worlds live in")
	first.release()
	again, err := claimFolder(dir, 200)
	require.NoError(t, err)
	require.Equal(t, dir, again.path)

	path, err := again.write("secrets/one", "hush")
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestTheGuideGivesAnotherLogin(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	world, err := sso.New(sso.Options{BaseURL: "http://" + server.Listener.Addr().String(), Realms: []string{customerRealm, adminRealm}, Users: people()})
	require.NoError(t, err)
	server.Config.Handler = world.Handler()
	server.Start()
	defer server.Close()
	_, after, found := strings.Cut(guide, "  OFFLINE_TOKEN=")
	require.True(t, found)
	command, _, _ := strings.Cut(after, "\n  #")
	script := "OFFLINE_TOKEN=" + command + "\nprintf %s \"$OFFLINE_TOKEN\""

	login := world.Issuer(customerRealm)
	run := exec.CommandContext(t.Context(), "sh", "-c", script)
	run.Env = append(os.Environ(), "LOGIN_URL="+login)
	token, err := run.Output()
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, login+"/protocol/openid-connect/token", strings.NewReader(url.Values{
		"grant_type": {"refresh_token"}, "client_id": {publicClient}, "refresh_token": {string(token)},
	}.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := server.Client().Do(request)
	require.NoError(t, err)
	defer reply.Body.Close()
	require.Equal(t, http.StatusOK, reply.StatusCode)
}
