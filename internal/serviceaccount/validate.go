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
		return apierr.Newf(apierr.AccountNameMalformed, "name must begin with a lower-case letter, end with a letter or digit, "+
			"and consist of lower-case letters (a-z), digits and dashes, %d at most", maxName)
	case !descriptionPattern.MatchString(r.Description):
		return apierr.Newf(apierr.AccountDescMalformed, "description must consist of Latin letters without accents, digits, full stops, commas, dashes and white space, "+
			"%d at most", maxDescription)
	}
	return nil
}

// CheckID checks the id of an account.
func CheckID(id string) error {
	if err := checkLength("id", id, maxID); err != nil {
		return err
	}
	if !idPattern.MatchString(id) {
		return apierr.New(apierr.AccountIDMalformed, "id must be a UUID of 36 lower-case hexadecimal digits and dashes")
	}
	return nil
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
	if !clientIDPattern.MatchString(clientID) {
		return apierr.New(apierr.AccountIDMalformed, "client_id must be "+ClientIDPrefix+" and a UUID of 36 lower-case hexadecimal digits and dashes")
	}
	return nil
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

func tooLong(field string, longest int) error {
	return apierr.Newf(apierr.FieldTooLong, "%s is too long: at most %d bytes are allowed", field, longest)
}

func missing(field string) error {
	return apierr.Newf(apierr.FieldTooShort, "%s is missing: at least 1 character is required", field)
}
