package config_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/config"
)

// resolve reads a configuration as the binary does.
func resolve(t *testing.T, environ, args []string) (*config.Settings, error) {
	t.Helper()
	s := config.New(environ)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.Bind(fs)
	require.NoError(t, fs.Parse(args))
	return s, s.Resolve()
}

// printed gives value and source of each flag.
func printed(t *testing.T, s *config.Settings) map[string]string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, s.Print(&out))
	rows := map[string]string{}
	for _, line := range strings.Split(out.String(), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 {
			rows[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	return rows
}

func TestPrecedenceAndProvenance(t *testing.T) {
	t.Parallel()
	const flag = "max-allowed-instances"
	for name, c := range map[string]struct {
		environ, args []string
		flag, want    string
		value         int
	}{
		"default":                    {nil, nil, flag, "1 default", 1},
		"environment set":            {[]string{"OCM_ENV=production"}, nil, flag, "1 OCM_ENV=production", 1},
		"variable over default":      {[]string{"KFM_MAX_ALLOWED_INSTANCES=4"}, nil, flag, "4 variable KFM_MAX_ALLOWED_INSTANCES", 4},
		"variable over environment":  {[]string{"OCM_ENV=stage", "KFM_MAX_ALLOWED_INSTANCES=4"}, nil, flag, "4 variable KFM_MAX_ALLOWED_INSTANCES", 4},
		"command line over variable": {[]string{"OCM_ENV=stage", "KFM_MAX_ALLOWED_INSTANCES=4"}, []string{"--max-allowed-instances=5"}, flag, "5 command line", 5},
		"same as the default":        {[]string{"OCM_ENV=stage"}, []string{"--max-allowed-instances=1"}, flag, "1 command line", 1},
		"testing sets nothing":       {[]string{"OCM_ENV=testing"}, nil, "enable-deny-list", "false default", 1},
		"nothing is development":     {[]string{"OCM_ENV="}, nil, "enable-deny-list", "true OCM_ENV=development", 1},
	} {
		s, err := resolve(t, c.environ, c.args)
		require.NoError(t, err, name)
		require.Equal(t, c.want, printed(t, s)[c.flag], name)
		require.Equal(t, c.value, s.Config.Quota.MaxInstances, name)
	}
}

func TestListsAreReplacedAndNotExtended(t *testing.T) {
	t.Parallel()
	s, err := resolve(t, []string{"KFM_CLIENT_ID_CLAIMS=a,b"}, []string{"--client-id-claims=c"})
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, s.Config.Access.Claims.ClientID)
	s, err = resolve(t, []string{"KFM_CLIENT_ID_CLAIMS=a,b"}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, s.Config.Access.Claims.ClientID)
}

func TestAllProblemsOfResolvingAreTold(t *testing.T) {
	t.Parallel()
	_, err := resolve(t, []string{"OCM_ENV=prod", "KFM_ENABLE_HTTPS=yes please", "KFM_DB_MAX_OPEN_CONNECTIONS=", "KFM_ENABLE_OCM_MOCK=true"}, nil)
	for _, want := range []string{
		`OCM_ENV: "prod" is none of development, testing, integration, stage, production`,
		`KFM_ENABLE_HTTPS: "yes please" does not fit a bool`,
		`KFM_DB_MAX_OPEN_CONNECTIONS: "" does not fit a int`,
		"enable-ocm-mock=true: there is no mock mode; `make run` starts a sandbox",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, config.Lines(err), 4)
}

func TestMocksAreRefused(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"--enable-ocm-mock", "--enable-ocm-mock=true", "--ocm-mock-mode=emulate-server", "--enable-observatorium-mock=1"} {
		_, err := resolve(t, nil, []string{arg})
		require.ErrorContains(t, err, "make run", arg)
	}
	s, err := resolve(t, nil, []string{"--enable-ocm-mock=false", "--ocm-mock-mode=stub-server"})
	require.NoError(t, err)
	require.Equal(t, []string{"flags without effect are set: enable-ocm-mock, ocm-mock-mode"}, s.Warnings())
}

func TestFlagsWithoutEffectGiveOneWarning(t *testing.T) {
	t.Parallel()
	s, err := resolve(t, []string{"KFM_OBSERVABILITY_CLOUDWATCHLOGGING_ENABLE=true", "KFM_TYPO=1", "LOGLEVEL=10", "OTHER=1"},
		[]string{"-v=10", "--logtostderr", "--alsologtostderr=false", "--log_dir", "/x"})
	require.NoError(t, err)
	require.Equal(t, []string{
		"flags without effect are set: alsologtostderr, log_dir, logtostderr, observability-cloudwatchlogging-enable, v",
		"environment variable KFM_TYPO belongs to no flag",
		"environment variable LOGLEVEL has no effect; use KFM_LOG_LEVEL",
	}, s.Warnings())
	require.Equal(t, "10 command line", printed(t, s)["v"])
	require.NotContains(t, printed(t, s), "vmodule", "nobody asked for it")
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	s, err := resolve(t, []string{"DATABASE_URL=postgres://u:hunter2@h/d", "KFM_OCM_BASE_URL=https://me:hunter2@ocm.test/x"}, nil)
	require.NoError(t, err)
	rows := printed(t, s)
	require.Equal(t, "REDACTED variable DATABASE_URL", rows["DATABASE_URL"])
	require.Equal(t, "https://REDACTED@ocm.test/x variable KFM_OCM_BASE_URL", rows["ocm-base-url"])
	require.Equal(t, "secrets/db.password default", rows["db-password-file"], "paths are no secrets")
	require.Equal(t, `"" default`, rows["https-cert-file"])
	require.Equal(t, "postgres://u:hunter2@h/d", s.Config.DB.URL.Reveal())
}

// world is the least that a valid configuration needs.
func world(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	for flag, content := range map[string]string{
		"secret-encryption-key-file": "k1:" + base64.StdEncoding.EncodeToString(key), "self-token-file": "t",
		"mas-sso-client-id-file": "id\n", "mas-sso-client-secret-file": "secret\n",
	} {
		path := filepath.Join(dir, flag)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		args = append(args, "--"+flag+"="+path)
	}
	return dir, args
}

func TestValidate(t *testing.T) {
	t.Parallel()
	_, args := world(t)
	s, err := resolve(t, []string{"DATABASE_URL=postgres://u@h/d"}, args)
	require.NoError(t, err)
	require.NoError(t, s.Config.Validate())
	require.NoError(t, s.Config.ValidateDatabase())
	require.NotNil(t, s.Config.Secrets.Keyring)
	require.Equal(t, "secret", s.Config.SSO.Admin.ClientSecret.Reveal())
	require.Equal(t, config.Development, s.Config.Environment)
}

func TestAllProblemsOfValuesAndFilesAreTold(t *testing.T) {
	t.Parallel()
	dir, args := world(t)
	bad := filepath.Join(dir, "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("supported_providers: []\nlimits: 3\n"), 0o600))
	s, err := resolve(t, nil, append(args,
		"--api-server-bindaddress=8000", "--db-host-file="+dir+"/none", "--reconciler-repeat-interval=0s",
		"--leader-lease-expiration-time=1s", "--log-level=loud", "--enable-sentry", "--sentry-key-file="+dir+"/none", "--quota-type=asm",
		"--enable-kafka-cname-registration", "--aws-route53-access-key-file="+dir+"/none", "--mas-sso-base-url=sso",
		"--providers-config-file="+bad, "--quota-management-list-config-file="+bad, "--secret-encryption-key-file="+bad,
	))
	require.NoError(t, err)
	err = s.Config.Validate()
	for _, want := range []string{
		"api-server-bindaddress: ", "db-host-file: open",
		"reconciler-repeat-interval: must be at least", "leader-lease-expiration-time: 1s is less than", `log-level: "loud" is none of`,
		"sentry-url: is required", "sentry-project: is required", "sentry-key-file: reading secret", `quota-type: "asm" is not known`,
		"aws-route53-access-key-file: ", `mas-sso-base-url: "sso" is not an http`,
		bad + `:2: unknown key "limits"`, bad + `:1: unknown key "supported_providers"`, "secret-encryption-key-file: reading keyring: line 1",
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestAnSSOThatKeepsTheAccountsNeedsNoRealm(t *testing.T) {
	t.Parallel()
	dir, args := world(t)
	for _, name := range []string{"clientId", "clientSecret"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name+"-of-ours\n"), 0o600))
	}
	args = append(args, "--sso-provider-type=redhat_sso", "--mas-sso-base-url=", "--mas-sso-client-id-file="+dir+"/none",
		"--redhat-sso-base-url=https://sso.test/", "--redhat-sso-client-id-file="+dir+"/clientId")
	s, err := resolve(t, []string{"DATABASE_URL=postgres://u@h/d"}, append(args, "--redhat-sso-client-secret-file="+dir+"/clientSecret"))
	require.NoError(t, err)
	require.NoError(t, s.Config.Validate())
	require.Equal(t, "https://sso.test/auth/realms/redhat-external", s.Config.SSO.RedHat.Issuer)
	require.Equal(t, "clientId-of-ours", s.Config.SSO.RedHat.ClientID)
	require.Equal(t, "clientSecret-of-ours", s.Config.SSO.RedHat.ClientSecret.Reveal())
	require.Equal(t, "api.iam.service_accounts", s.Config.SSO.RedHat.Scope)
	require.Empty(t, s.Warnings())

	s, err = resolve(t, nil, append(args, "--redhat-sso-base-url=sso", "--redhat-sso-client-secret-file="+dir+"/none"))
	require.NoError(t, err)
	err = s.Config.Validate()
	require.ErrorContains(t, err, `redhat-sso-base-url: "sso" is not an http`)
	require.ErrorContains(t, err, "redhat-sso-client-secret-file: ")
	s, err = resolve(t, nil, append(args, "--sso-provider-type=ldap"))
	require.NoError(t, err)
	require.ErrorContains(t, s.Config.Validate(), `sso-provider-type: "ldap" is not known`)
}

func TestTheServersKeyMustFitItsCertificate(t *testing.T) {
	t.Parallel()
	dir, args := world(t)
	s, err := resolve(t, []string{"DATABASE_URL=postgres://u@h/d"}, append(args, "--enable-https", "--https-cert-file="+dir+"/none", "--https-key-file="+dir+"/none"))
	require.NoError(t, err)
	require.ErrorContains(t, s.Config.Validate(), "https-cert-file and https-key-file: open")
}

func TestHelpShowsWhatHoldsInTheEnvironment(t *testing.T) {
	t.Parallel()
	require.Contains(t, config.New([]string{"OCM_ENV=stage"}).Usage("OCM"), `(default "https://api.stage.openshift.com")`)
	usage := config.New(nil).DatabaseUsage()
	require.Contains(t, usage, "--db-host-file")
	require.NotContains(t, usage, "--enable-https")
	require.NotContains(t, config.New(nil).Usage(), "stderrthreshold")
}

func TestReference(t *testing.T) {
	t.Parallel()
	names := map[string]config.Flag{}
	for _, f := range config.Reference() {
		require.NotContains(t, names, f.Name)
		require.NotEmpty(t, f.Meaning, f.Name)
		require.NotEmpty(t, f.Group, f.Name)
		names[f.Name] = f
	}
	require.Equal(t, config.Flag{
		Name: "enable-deny-list", Variable: "KFM_ENABLE_DENY_LIST", Type: "bool", Default: "false", Group: "Callers",
		Meaning: names["enable-deny-list"].Meaning,
	}, names["enable-deny-list"], "the default is the flag's, not that of an environment")
	for environment, values := range config.Overrides() {
		for flag := range values {
			require.Contains(t, names, flag, environment)
		}
	}
	for _, name := range strings.Fields(knownFlags) {
		require.Contains(t, names, name, "deployments pass it")
	}
}
