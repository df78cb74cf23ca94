package kafka

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Config is what operators set about instances.
type Config struct {
	DomainName        string
	EnableCNAMEs      bool
	BrowserURL        string
	EnableOwnerList   bool
	OwnerListFile     string
	EnableAuth        bool // instances authenticate their clients at the SSO
	UserNameClaim     string
	DeletedRetention  time.Duration // of rows of instances that are gone; 0: for ever
	EventRetention    time.Duration // of the history; 0: for ever
	FallbackUserClaim string
}

// Flags declares the flags.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.DomainName, "kafka-domain-name", "kafka.bf2.dev", "DNS domain under which instances get their host names")
	fs.BoolVar(&c.EnableCNAMEs, "enable-kafka-cname-registration", false, "write CNAME records for the routes of instances")
	fs.StringVar(&c.BrowserURL, "browser-url", "http://localhost:8080/", "URL of the web console, shown as part of browser_url")
	fs.BoolVar(&c.EnableOwnerList, "enable-kafka-owner-config", false, "give further owners to every instance")
	fs.StringVar(&c.OwnerListFile, "kafka-owner-list-file", "config/kafka-owner-list.yaml", "YAML list of user names that own every instance besides its owner")
	fs.BoolVar(&c.EnableAuth, "mas-sso-enable-auth", true, "instances authenticate their clients at the SSO")
	fs.StringVar(&c.UserNameClaim, "user-name-claim", "clientId", "token claim from which instances take the user's name")
	fs.DurationVar(&c.DeletedRetention, "deleted-kafka-retention", 30*24*time.Hour, "how long the rows of deleted instances are kept; 0 keeps them for ever")
	fs.DurationVar(&c.EventRetention, "kafka-event-retention", 90*24*time.Hour, "how long the history of instances is kept; 0 keeps it for ever")
	fs.StringVar(&c.FallbackUserClaim, "fall-back-user-name-claim", "preferred_username", "claim to use where the first is absent")
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if c.DomainName == "" || strings.HasPrefix(c.DomainName, ".") || strings.HasSuffix(c.DomainName, ".") {
		problems = append(problems, errors.New("kafka-domain-name: expected a DNS name without dots at its ends"))
	}
	if c.EnableAuth && c.UserNameClaim == "" {
		problems = append(problems, errors.New("user-name-claim: must not be empty while mas-sso-enable-auth is on"))
	}
	// What was closed in doubt is looked at for an hour, and people look at yesterday.
	const least = 24 * time.Hour
	if c.DeletedRetention != 0 && c.DeletedRetention < least {
		problems = append(problems, errors.New("deleted-kafka-retention: must be 0 or at least 24h"))
	}
	if c.EventRetention != 0 && c.EventRetention < least {
		problems = append(problems, errors.New("kafka-event-retention: must be 0 or at least 24h"))
	}
	return errors.Join(problems...)
}
