package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// settings are what the user chooses about a world.
type settings struct {
	Replicas    int
	Offset      int
	SSO         string // kind of SSO
	QuotaType   string
	AgentsWord  string
	Poll        time.Duration
	Folder      string
	Binary      string
	DatabaseURL string

	offsetGiven bool
}

// agents tells whether the world has data-plane agents.
func (s settings) agents() bool { return s.AgentsWord != "none" }

// atSSO tells whether the SSO keeps the accounts, and not the fleet manager.
func (s settings) atSSO() bool { return s.SSO == redHatSSO }

// accountRealm is the realm of service accounts, agents and canaries.
func (s settings) accountRealm() string {
	if s.atSSO() {
		return customerRealm
	}
	return accountRealm
}

const maxReplicas = 3

// Who may grant quota to the instances of a world.
const (
	listQuota     = "quota-management-list"
	accountsQuota = "ams"
)

// The kinds of SSO.
const (
	masSSO    = "mas_sso"
	redHatSSO = "redhat_sso"
)

// variables are the environment variables of the flags.
func variables() map[string]string {
	return map[string]string{
		"replicas": "REPLICAS", "port-offset": "PORT_OFFSET", "agents": "AGENTS", "poll": "SANDBOX_POLL",
		"database-url": "DATABASE_URL", "quota-type": "QUOTA_TYPE", "sso-provider": "SSO_PROVIDER",
	}
}

func (s *settings) flags(fs *pflag.FlagSet, folder string) {
	fs.IntVar(&s.Replicas, "replicas", 1, fmt.Sprintf("fleet managers to run, 1 to %d (REPLICAS)", maxReplicas))
	fs.IntVar(&s.Offset, "port-offset", 0, "number to add to every port (PORT_OFFSET)")
	fs.StringVar(&s.AgentsWord, "agents", "all", "data-plane agents: all or none (AGENTS)")
	fs.DurationVar(&s.Poll, "poll", 500*time.Millisecond, "how often an agent asks for its instances (SANDBOX_POLL)")
	fs.StringVar(&s.SSO, "sso-provider", masSSO, "who keeps service accounts: mas_sso (the fleet manager, in a realm) or redhat_sso (the SSO) (SSO_PROVIDER)")
	fs.StringVar(&s.QuotaType, "quota-type", listQuota, "who grants quota: "+listQuota+" or "+accountsQuota+" (QUOTA_TYPE)")
	fs.StringVar(&s.DatabaseURL, "database-url", "", "PostgreSQL database to use instead of a private one; its sandbox data is removed first (DATABASE_URL)")
	fs.StringVar(&s.Folder, "folder", folder, "folder for everything that the world writes")
	fs.StringVar(&s.Binary, "fleet-manager", "", "binary of the fleet manager (default: kas-fleet-manager beside this one)")
}

// resolve takes flags that were not given from the environment, and checks all.
func (s *settings) resolve(fs *pflag.FlagSet, getenv func(string) string) error {
	for flag, variable := range variables() {
		value := getenv(variable)
		// A shell that sourced another world's sandbox.env has that world's database, which is not given to this one.
		sourced := flag == "database-url" && getenv("SANDBOX_PID") != ""
		if value == "" || sourced || fs.Changed(flag) {
			continue
		}
		if err := fs.Set(flag, value); err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
	}
	s.offsetGiven = fs.Changed("port-offset")
	if s.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding the fleet manager's binary: %w", err)
		}
		s.Binary = filepath.Join(filepath.Dir(self), "kas-fleet-manager")
	}
	if _, err := os.Stat(s.Binary); err != nil {
		return fmt.Errorf("finding the fleet manager's binary: %w (make build makes it)", err)
	}
	return s.check()
}

func (s *settings) check() error {
	var problems []string
	if s.Replicas < 1 || s.Replicas > maxReplicas {
		problems = append(problems, fmt.Sprintf("REPLICAS: %d is not between 1 and %d", s.Replicas, maxReplicas))
	}
	if highest := portsOf(s.Replicas, s.Offset).highest(); s.Offset < 0 || highest > 65535 {
		problems = append(problems, fmt.Sprintf("PORT_OFFSET: %d leads out of the range of ports", s.Offset))
	}
	if s.AgentsWord != "all" && s.AgentsWord != "none" {
		problems = append(problems, fmt.Sprintf("AGENTS: %q is neither all nor none", s.AgentsWord))
	}
	if s.SSO != masSSO && s.SSO != redHatSSO {
		problems = append(problems, fmt.Sprintf("SSO_PROVIDER: %q is neither %s nor %s", s.SSO, masSSO, redHatSSO))
	}
	if s.QuotaType != listQuota && s.QuotaType != accountsQuota {
		problems = append(problems, fmt.Sprintf("QUOTA_TYPE: %q is neither %s nor %s", s.QuotaType, listQuota, accountsQuota))
	}
	if s.Poll < 10*time.Millisecond {
		problems = append(problems, fmt.Sprintf("SANDBOX_POLL: %s is less than 10ms", s.Poll))
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}
