package compat

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// binaryTime bounds one command: creating waits in steps of five seconds.
const binaryTime = 2 * time.Minute

// binary is a real command line tool with a home of its own.
type binary struct{ path, home string }

// run runs a command without a terminal, so that it asks nobody.
func (b binary) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, binaryTime)
	defer cancel()
	command := exec.CommandContext(ctx, b.path, args...)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "XDG_CONFIG_HOME=" + b.home, "RHOAS_TELEMETRY=false",
		"RHOASCONFIG=" + filepath.Join(b.home, "config.json"), "RHOAS_CONTEXT=" + filepath.Join(b.home, "context.json"),
	}
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(b.path), args[0], err, problems.String())
	}
	return out.String(), nil
}

// step is one command and what must be so afterwards. In its arguments {account}
// stands for the id in the last output that had one.
type step struct {
	args  string
	after func(out string)
}

var anyAccount = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// drive runs the steps in their order.
func (b binary) drive(ctx context.Context, steps []step) error {
	account := ""
	for _, one := range steps {
		var args []string
		for _, word := range strings.Fields(one.args) {
			args = append(args, strings.ReplaceAll(word, "{account}", account))
		}
		out, err := b.run(ctx, args...)
		if err != nil {
			return err
		}
		if found := anyAccount.FindString(out); found != "" {
			account = found
		}
		if one.after != nil {
			one.after(out)
		}
	}
	return nil
}

// logIn is how the tool is told of another gateway and SSO than the public ones.
func logIn(token, origin, sso string) step {
	return step{args: "login --token " + token + " --api-gateway " + origin + " --auth-url " + sso + " --insecure"}
}

// kafkaSteps are the life of an instance.
func kafkaSteps(ready, listed, described, updated, deleted func(out string)) []step {
	return []step{
		{"kafka create --name checked --provider aws --region us-east-1 --size x1", nil}, // with all the tool's own checks
		{"kafka delete --name checked -y", nil},
		{"kafka create --name one --provider aws --region us-east-1 --bypass-checks --wait", ready},
		{"kafka list -o json", listed},
		{"kafka describe --name one -o json", described},
		{"kafka update --name one --reauthentication false -y", updated},
		{"kafka delete --name one -y", deleted},
	}
}

// accountSteps are the life of a service account. Secrets go to files of the home.
func accountSteps(home string, made, gone func(out string)) []step {
	secret := func(name string) string { return "--file-format json --output-file " + filepath.Join(home, name) }
	return []step{
		{"service-account create --short-description billing " + secret("first.json"), made},
		{"service-account list -o json", nil},
		{"service-account describe --id {account} -o json", nil},
		{"service-account reset-credentials --id {account} -y " + secret("second.json"), nil},
		{"service-account delete --id {account} -y", gone},
	}
}

// TestTheRealTool drives a rhoas that somebody built elsewhere.
func TestTheRealTool(t *testing.T) {
	t.Parallel()
	path := os.Getenv("RHOAS_BIN")
	if path == "" {
		t.Skip("RHOAS_BIN names no rhoas to drive")
	}
	h := newWorld(t)
	b := binary{path, t.TempDir()}
	direct := newRhoas(t, h, harness.Alice)
	shows := func(part string) func(string) { return func(out string) { require.Contains(t, out, part) } }
	status := func(wanted string) func(string) {
		return func(string) {
			k, err := direct.byName("one")
			require.NoError(t, err)
			require.Equal(t, wanted, k.Status)
		}
	}
	steps := []step{logIn(offlineToken(t, h, harness.Alice), h.Origin(), ssoOf(t, h).URL)}
	steps = append(steps, kafkaSteps(status("ready"), shows(`"one"`), shows(`"bootstrap_server_host"`), func(string) {
		k, err := direct.byName("one")
		require.NoError(t, err)
		require.False(t, k.ReauthenticationEnabled)
	}, func(string) {
		h.Until("the end of the instance", func() (bool, string) {
			_, err := direct.byName("one")
			return err != nil, "it"
		})
	})...)
	count := func(wanted int) func(string) {
		return func(string) {
			direct.begin()
			list, err := direct.door.ListAccounts(t.Context(), "0", "100")
			require.NoError(t, err)
			require.Len(t, list, wanted)
		}
	}
	steps = append(steps, accountSteps(b.home, count(1), count(0))...)
	require.NoError(t, b.drive(t.Context(), steps))
}

// TestTheDriverOfTheRealTool: with a script in the place of the tool.
func TestTheDriverOfTheRealTool(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("testdata/rhoas.sh")
	require.NoError(t, err)
	b := binary{script, t.TempDir()}
	var looked []string
	look := func(what string) func(string) { return func(string) { looked = append(looked, what) } }
	steps := append([]step{logIn("a.b.c", "http://gateway", "http://sso/auth/realms/people")},
		kafkaSteps(look("ready"), look("listed"), look("described"), look("updated"), look("deleted"))...)
	require.NoError(t, b.drive(t.Context(), append(steps, accountSteps(b.home, look("made"), look("gone"))...)))
	require.Equal(t, []string{"ready", "listed", "described", "updated", "deleted", "made", "gone"}, looked)

	calls, err := os.ReadFile(filepath.Join(b.home, "calls"))
	require.NoError(t, err)
	const id = "5d4f5b0c-7c1c-4f8e-9d57-0a6c9a3b1e11"
	require.Equal(t, strings.ReplaceAll(`login --token a.b.c --api-gateway http://gateway --auth-url http://sso/auth/realms/people --insecure 
kafka create --name checked --provider aws --region us-east-1 --size x1 
kafka delete --name checked -y 
kafka create --name one --provider aws --region us-east-1 --bypass-checks --wait 
kafka list -o json 
kafka describe --name one -o json 
kafka update --name one --reauthentication false -y 
kafka delete --name one -y 
service-account create --short-description billing --file-format json --output-file HOME/first.json 
service-account list -o json 
service-account describe --id `+id+` -o json 
service-account reset-credentials --id `+id+` -y --file-format json --output-file HOME/second.json 
service-account delete --id `+id+` -y 
`, "HOME", b.home), string(calls))
	configs, err := os.ReadFile(filepath.Join(b.home, "configs"))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat(b.home+"/config.json\n", len(steps)+5), string(configs), "nobody's own configuration is touched")
	err = b.drive(t.Context(), []step{{"kafka describe --name none", look("never")}, {"kafka list", look("never")}})
	require.ErrorContains(t, err, "no such instance")
	require.NotContains(t, looked, "never")
}
