package db

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Config says where PostgreSQL is and how much of it one process may use.
type Config struct {
	// URL is a whole connection string (DATABASE_URL). It takes the place of the
	// files and of SSLMode.
	URL log.Secret

	HostFile, PortFile, NameFile, UserFile, PasswordFile string
	CertificateFile                                      string
	SSLMode                                              string
	MaxOpenConnections                                   int
	Debug                                                bool
}

// Flags adds the flags of the database with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.HostFile, "db-host-file", "secrets/db.host", "File with the database host")
	fs.StringVar(&c.PortFile, "db-port-file", "secrets/db.port", "File with the database port")
	fs.StringVar(&c.NameFile, "db-name-file", "secrets/db.name", "File with the database name")
	fs.StringVar(&c.UserFile, "db-user-file", "secrets/db.user", "File with the database user")
	fs.StringVar(&c.PasswordFile, "db-password-file", "secrets/db.password", "File with the database password")
	fs.StringVar(&c.CertificateFile, "db-ssl-certificate-file", "secrets/db.ca_cert", "File with the CA of the database's certificate, unused when db-sslmode is disable")
	fs.StringVar(&c.SSLMode, "db-sslmode", "disable", "TLS to the database: disable, require, verify-ca or verify-full")
	fs.IntVar(&c.MaxOpenConnections, "db-max-open-connections", 50, "Most connections of this process's pool")
	fs.BoolVar(&c.Debug, "enable-db-debug", false, "Log each SQL statement at debug level, without its values")
}

// Validate reports every problem of the configuration at once. It reads the
// files but does not connect.
func (c *Config) Validate() error {
	var problems []error
	if c.MaxOpenConnections < 1 {
		problems = append(problems, errors.New("db-max-open-connections: must be at least 1"))
	}
	if c.URL == "" {
		problems = append(problems, c.filesProblems()...)
	}
	if len(problems) == 0 {
		if _, err := c.connection(); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func (c *Config) filesProblems() []error {
	var problems []error
	if _, err := c.read(); err != nil {
		problems = append(problems, err)
	}
	if !slices.Contains([]string{"disable", "require", "verify-ca", "verify-full"}, c.SSLMode) {
		problems = append(problems, fmt.Errorf("db-sslmode: %q is none of disable, require, verify-ca, verify-full", c.SSLMode))
	}
	if strings.HasPrefix(c.SSLMode, "verify-") {
		if _, err := os.Stat(c.CertificateFile); err != nil {
			problems = append(problems, fmt.Errorf("db-ssl-certificate-file: %w", err))
		}
	}
	return problems
}

// values is the content of the files.
type values struct {
	host, name, user string
	port             int
	password         log.Secret
}

func (c *Config) read() (values, error) {
	var v values
	var port, password string
	var problems []error
	for _, f := range []struct {
		flag, path string
		into       *string
	}{
		{"db-host-file", c.HostFile, &v.host},
		{"db-port-file", c.PortFile, &port},
		{"db-name-file", c.NameFile, &v.name},
		{"db-user-file", c.UserFile, &v.user},
		{"db-password-file", c.PasswordFile, &password},
	} {
		raw, err := os.ReadFile(f.path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.flag, err))
			continue
		}
		*f.into = strings.TrimSpace(string(raw))
		if *f.into == "" {
			problems = append(problems, fmt.Errorf("%s: %s is empty", f.flag, f.path))
		}
	}
	v.password = log.Secret(password)
	if port != "" {
		var err error
		if v.port, err = strconv.Atoi(port); err != nil || v.port < 1 || v.port > 65535 {
			problems = append(problems, fmt.Errorf("db-port-file: %s holds no port number", c.PortFile))
		}
	}
	return v, errors.Join(problems...)
}

// url gives the connection string. Building a URL escapes whatever characters a
// password has.
func (c *Config) url() (log.Secret, error) {
	if c.URL != "" {
		return c.URL, nil
	}
	v, err := c.read()
	if err != nil {
		return "", err
	}
	query := url.Values{"sslmode": {c.SSLMode}}
	if c.SSLMode != "disable" {
		if _, err := os.Stat(c.CertificateFile); err == nil || strings.HasPrefix(c.SSLMode, "verify-") {
			query.Set("sslrootcert", c.CertificateFile)
		}
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(v.user, v.password.Reveal()),
		Host: net.JoinHostPort(v.host, strconv.Itoa(v.port)), Path: "/" + v.name, RawQuery: query.Encode(),
	}
	return log.Secret(u.String()), nil
}
