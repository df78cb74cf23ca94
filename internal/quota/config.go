package quota

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// DefaultListFile is the usual place of the quota management list.
const DefaultListFile = "config/quota-management-list-configuration.yaml"

// Config holds the limits that no list entry overrides.
type Config struct {
	Type                  string
	ListFile              string
	EnforceLimits         bool
	MaxInstances          int
	AllowDeveloper        bool
	MaxDeveloperInstances int
}

// Flags binds the flags and sets the defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Type, "quota-type", ListType, "who grants quota to new instances: "+ListType+", or "+AMSType+" (accounts management of OCM)")
	fs.StringVar(&c.ListFile, "quota-management-list-config-file", DefaultListFile, "quota management list, reloaded when it changes")
	fs.BoolVar(&c.EnforceLimits, "enable-instance-limit-control", false, "enforce the limits of the quota management list")
	fs.IntVar(&c.MaxInstances, "max-allowed-instances", 1, "streaming units of an account or organisation whose list entry sets no limit")
	fs.BoolVar(&c.AllowDeveloper, "allow-developer-instance", true, "let accounts without quota create trial instances")
	fs.IntVar(&c.MaxDeveloperInstances, "max-allowed-developer-instances", 1, "trial instances of one user")
}

// Validate tells all that is wrong.
func (c Config) Validate() error {
	var problems []error
	switch c.Type {
	case ListType, AMSType, "":
	default:
		problems = append(problems, fmt.Errorf("quota-type: %q is not known, use %s or %s", c.Type, ListType, AMSType))
	}
	if c.MaxInstances < 0 {
		problems = append(problems, errors.New("max-allowed-instances: must not be negative"))
	}
	if c.MaxDeveloperInstances < 0 {
		problems = append(problems, errors.New("max-allowed-developer-instances: must not be negative"))
	}
	return errors.Join(problems...)
}

// CheckDeveloper judges one more trial instance of a user who has so many in the
// organisation, those being deleted included.
func (c Config) CheckDeveloper(counted int) error {
	if !c.AllowDeveloper {
		return apierr.New(apierr.Forbidden, "Trial instances are not allowed, quota for other instances must be granted to the account")
	}
	if counted >= c.MaxDeveloperInstances {
		return apierr.Newf(apierr.CapacityReached, "The limit of %d trial instances for this account is reached, delete one to order another", c.MaxDeveloperInstances)
	}
	return nil
}
