package serviceaccount

import (
	"errors"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

// usualExemptFile is where the list of exempt organisations is looked for; there it may be missing.
const usualExemptFile = "config/service-account-limits-check-skip-org-id-list.yaml"

// Config is what operators set about service accounts.
type Config struct {
	MaxPerOrg  int
	PageSize   int // of a list whose caller names none
	ExemptFile string
}

// Flags declares the flags.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.IntVar(&c.MaxPerOrg, "max-allowed-service-accounts", 50, "service accounts an organisation may have")
	fs.IntVar(&c.PageSize, "max-limit-for-sso-get-clients", 100, "service accounts that a list shows whose caller names no size, 1000 at most")
	fs.StringVar(&c.ExemptFile, "service-account-limits-check-skip-org-id-list-file", usualExemptFile,
		"YAML list of organisation ids that may have any number of service accounts, reloaded when it changes")
}

// Validate tells all that is wrong, the content of the file included.
func (c *Config) Validate() error {
	var problems []error
	if c.MaxPerOrg < 0 {
		problems = append(problems, errors.New("max-allowed-service-accounts: must not be negative"))
	}
	if c.PageSize < 1 {
		problems = append(problems, errors.New("max-limit-for-sso-get-clients: must be at least 1"))
	}
	raw, name, err := configfile.Read(c.ExemptFile, noneExempt)
	if err == nil {
		_, err = ParseExempt(name, raw)
	}
	return errors.Join(append(problems, err)...)
}

// Exempt is the organisations without a limit.
type Exempt map[string]bool

var noneExempt = configfile.Fallback{Path: usualExemptFile, Content: []byte("[]")}

// ReadExempt reads the exempt organisations. Run the result to follow the file.
func ReadExempt(c Config, logger *slog.Logger) (*configfile.Live[Exempt], error) {
	return configfile.NewLive(configfile.Source[Exempt]{
		Path: c.ExemptFile, Fallback: noneExempt, Parse: ParseExempt, Logger: logger,
	})
}

// ParseExempt reads a list of ids. Numbers without quotes are ids too.
func ParseExempt(name string, raw []byte) (Exempt, error) {
	var ids []string
	if err := configfile.Decode(name, raw, &ids); err != nil {
		return nil, err
	}
	var problems configfile.Problems
	exempt := make(Exempt, len(ids))
	for i, id := range ids {
		if id == "" {
			problems.Addf(configfile.Place{i}, "must not be empty")
		}
		exempt[id] = true
	}
	return exempt, problems.Err(name, raw)
}
