package catalog

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

// Config says where the two files are.
type Config struct {
	InstanceTypesFile string
	ProvidersFile     string
}

// Flags binds the flags and sets the defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.InstanceTypesFile, "supported-kafka-instance-types-config-file", DefaultInstanceTypesFile,
		"instance types, sizes and billing models; built-in values if the default file is missing")
	fs.StringVar(&c.ProvidersFile, "providers-config-file", DefaultProvidersFile,
		"cloud providers, regions and their limits; built-in values if the default file is missing")
}

// Validate checks the paths; Load checks the files.
func (c Config) Validate() error {
	var problems []error
	if configfile.Path(c.InstanceTypesFile) == "" {
		problems = append(problems, errors.New("supported-kafka-instance-types-config-file: must not be empty"))
	}
	if configfile.Path(c.ProvidersFile) == "" {
		problems = append(problems, errors.New("providers-config-file: must not be empty"))
	}
	return errors.Join(problems...)
}
