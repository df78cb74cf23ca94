package route53

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// DefaultTimeout bounds one call, its retries included.
const DefaultTimeout = 10 * time.Second

// Config says which account and which zone to work in. Validate reads the files
// into AccessKey and SecretAccessKey; call it only where DNS records are wanted.
type Config struct {
	AccessKeyFile       string
	SecretAccessKeyFile string
	EndpointURL         string // empty: the service's own endpoint

	Domain          string // the name of the public zone; the domain's owner sets it
	AccessKey       string
	SecretAccessKey log.Secret
	Timeout         time.Duration // zero: DefaultTimeout
}

// Flags registers the flags with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.AccessKeyFile, "aws-route53-access-key-file", "secrets/aws.route53accesskey", "File with the AWS access key for Route 53")
	fs.StringVar(&c.SecretAccessKeyFile, "aws-route53-secret-access-key-file", "secrets/aws.route53secretaccesskey", "File with the AWS secret access key for Route 53")
	fs.StringVar(&c.EndpointURL, "aws-route53-endpoint-url", "", "URL of the Route 53 API; empty for the one of AWS")
}

// Validate reads the credentials and tells every problem.
func (c *Config) Validate() error {
	var problems []error
	if c.AccessKeyFile != "" {
		key, err := configfile.ReadSecret(c.AccessKeyFile)
		problems = append(problems, about("aws-route53-access-key-file", err))
		c.AccessKey = key.Reveal()
	}
	if c.SecretAccessKeyFile != "" {
		secret, err := configfile.ReadSecret(c.SecretAccessKeyFile)
		problems = append(problems, about("aws-route53-secret-access-key-file", err))
		c.SecretAccessKey = secret
	}
	if errors.Join(problems...) == nil && (c.AccessKey == "" || c.SecretAccessKey == "") {
		problems = append(problems, errors.New("the Route 53 access key and secret access key must not be empty"))
	}
	if c.EndpointURL != "" {
		u, err := url.Parse(c.EndpointURL)
		if err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "http") {
			problems = append(problems, errors.New("aws-route53-endpoint-url: not an http or https URL"))
		}
	}
	return errors.Join(problems...)
}

func about(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}
