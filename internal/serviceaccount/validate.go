package serviceaccount

import (
	"regexp"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Limits of lengths, in bytes. The longest client id is a byte longer than any
// that exists; clients know the limit so.
const (
	maxName        = 50
	maxDescription = 255
	maxID          = 36
	maxClientID    = 47
)

const uuidPattern = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

var (
	namePattern        = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	descriptionPattern = regexp.MustCompile(`^[a-zA-Z0-9.,\-\s]*$`)
	idPattern          = regexp.MustCompile(`^` + uuidPattern + `$`)
	clientIDPattern    = regexp.MustCompile(`^` + ClientIDPrefix + uuidPattern + `$`)
)

// Request is what a customer wants.
type Request struct{ Name, Description string }

// Validate checks a request; of several mistakes the first in this order is told.
func (r Request) Validate() error {
	switch {
	case len(r.Name) > maxName:
		return tooLong("name", maxName)
	case r.Name == "":
		return missing("name")
	case len(r.Description) > maxDescription:
		return tooLong("description", maxDescription)
	case !namePattern.MatchString(r.Name):
		return apierr.Newf(apierr.AccountNameMalformed, "name does not match %s", namePattern)
	case !descriptionPattern.MatchString(r.Description):
		return apierr.Newf(apierr.AccountDescMalformed, "description does not match %s", descriptionPattern)
	}
	return nil
}

// CheckID checks the id of an account.
func CheckID(id string) error {
	if err := checkLength("id", id, maxID); err != nil {
		return err
	}
	return checkPattern("id", id, idPattern)
}

// CheckAnyClientID checks a client id that an SSO chose in its own way.
func CheckAnyClientID(clientID string) error {
	return checkLength("client_id", clientID, maxClientID)
}

// checkClientID checks a client id that was made here.
func checkClientID(clientID string) error {
	if err := CheckAnyClientID(clientID); err != nil {
		return err
	}
	return checkPattern("client_id", clientID, clientIDPattern)
}

func checkLength(field, value string, longest int) error {
	switch {
	case len(value) > longest:
		return tooLong(field, longest)
	case value == "":
		return missing(field)
	}
	return nil
}

func checkPattern(field, value string, pattern *regexp.Regexp) error {
	if !pattern.MatchString(value) {
		return apierr.Newf(apierr.AccountIDMalformed, "%s does not match %s", field, pattern)
	}
	return nil
}

func tooLong(field string, longest int) error {
	return apierr.Newf(apierr.FieldTooLong, "%s is longer than %d bytes", field, longest)
}

func missing(field string) error {
	return apierr.Newf(apierr.FieldTooShort, "%s must not be empty", field)
}
