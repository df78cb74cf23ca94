package apierr

import (
	"net/http"
	"slices"
	"strconv"
)

// Code is the number of an error in the catalogue. Numbers are part of the wire
// and never change their meaning.
type Code int

// The codes of the catalogue.
const (
	Forbidden                  Code = 4
	TooManyInstances           Code = 5
	Conflict                   Code = 6
	NotFound                   Code = 7
	Validation                 Code = 8
	General                    Code = 9
	MethodNotAllowed           Code = 10
	Unauthorized               Code = 11
	TermsNotAccepted           Code = 12
	Unauthenticated            Code = 15
	Malformed                  Code = 17
	UnderMaintenance           Code = 18
	BadRequest                 Code = 21
	SearchMalformed            Code = 23
	CapacityReached            Code = 24
	Gone                       Code = 25
	ProviderUnsupported        Code = 30
	RegionUnsupported          Code = 31
	NameMalformed              Code = 32
	FieldTooShort              Code = 33
	FieldTooLong               Code = 34
	NameTaken                  Code = 36
	FieldInvalid               Code = 37
	AccountNameMalformed       Code = 38
	AccountDescMalformed       Code = 39
	AccountIDMalformed         Code = 40
	InstanceTypeUnsupported    Code = 41
	PlanUnsupported            Code = 42
	BillingAccountInvalid      Code = 43
	ClusterIDTaken             Code = 44
	ClusterIDMalformed         Code = 45
	ExternalClusterIDMalformed Code = 46
	DNSNameMalformed           Code = 47
	SyncUnsupported            Code = 103
	SSOClientNotCreated        Code = 106
	SSOSecretNotObtained       Code = 107
	SSOClientNotObtained       Code = 108
	SSOClientNotDeleted        Code = 109
	AccountNotCreated          Code = 110
	AccountNotObtained         Code = 111
	AccountNotDeleted          Code = 112
	AccountNotFound            Code = 113
	AccountLimitReached        Code = 115
	InsufficientQuota          Code = 120
	QuotaCheckFailed           Code = 121
	TooManyRequests            Code = 429
	ErrorBodyFailed            Code = 1000
)

// Entry is one line of the catalogue.
type Entry struct {
	Code     Code
	Status   int    // HTTP status
	Reason   string // default text; part of the wire, listed by GET /errors
	Prefixed bool   // a specific reason is put behind the default text and a colon
}

// One table serves replies, GET /errors, docs/errors.md and the tests. Sorted by code.
var catalogue = []Entry{
	{Code: Forbidden, Status: http.StatusForbidden, Reason: "This action is forbidden for the account"},
	{Code: TooManyInstances, Status: http.StatusForbidden, Reason: "The maximum number of allowed instances has been reached"},
	{Code: Conflict, Status: http.StatusConflict, Reason: "An entity with the specified unique values already exists"},
	{Code: NotFound, Status: http.StatusNotFound, Reason: "Resource not found"},
	{Code: Validation, Status: http.StatusBadRequest, Reason: "General validation failure"},
	{Code: General, Status: http.StatusInternalServerError, Reason: "Unspecified error"},
	{Code: MethodNotAllowed, Status: http.StatusMethodNotAllowed, Reason: "HTTP method not implemented for this resource"},
	{Code: Unauthorized, Status: http.StatusForbidden, Reason: "Account is not authorised to perform this action"},
	{Code: TermsNotAccepted, Status: http.StatusForbidden, Reason: "Required terms have not been accepted"},
	{Code: Unauthenticated, Status: http.StatusUnauthorized, Reason: "Account authentication could not be verified"},
	{Code: Malformed, Status: http.StatusBadRequest, Reason: "Unable to read the request"},
	{Code: UnderMaintenance, Status: http.StatusForbidden, Reason: "The service is under maintenance, please try again later"},
	{Code: BadRequest, Status: http.StatusBadRequest, Reason: "Bad request"},
	{Code: SearchMalformed, Status: http.StatusBadRequest, Reason: "Failed to parse search query"},
	{Code: CapacityReached, Status: http.StatusForbidden, Reason: "Cluster capacity is exhausted"},
	{Code: Gone, Status: http.StatusGone, Reason: "Resource was deleted"},
	{Code: ProviderUnsupported, Status: http.StatusBadRequest, Reason: "Cloud provider is not supported"},
	{Code: RegionUnsupported, Status: http.StatusBadRequest, Reason: "Region is not supported"},
	{Code: NameMalformed, Status: http.StatusBadRequest, Reason: "Kafka instance name is invalid"},
	{Code: FieldTooShort, Status: http.StatusBadRequest, Reason: "Minimum field length not reached"},
	{Code: FieldTooLong, Status: http.StatusBadRequest, Reason: "Maximum field length exceeded"},
	{Code: NameTaken, Status: http.StatusConflict, Reason: "Kafka cluster name is already used"},
	{Code: FieldInvalid, Status: http.StatusBadRequest, Reason: "Field validation failed", Prefixed: true},
	{Code: AccountNameMalformed, Status: http.StatusBadRequest, Reason: "Service account name is invalid"},
	{Code: AccountDescMalformed, Status: http.StatusBadRequest, Reason: "Service account description is invalid"},
	{Code: AccountIDMalformed, Status: http.StatusBadRequest, Reason: "Service account id is invalid"},
	{Code: InstanceTypeUnsupported, Status: http.StatusBadRequest, Reason: "Instance type is not supported"},
	{Code: PlanUnsupported, Status: http.StatusBadRequest, Reason: "Instance plan is not supported"},
	{Code: BillingAccountInvalid, Status: http.StatusBadRequest, Reason: "Billing account is missing or invalid", Prefixed: true},
	{Code: ClusterIDTaken, Status: http.StatusConflict, Reason: "Cluster id is already used"},
	{Code: ClusterIDMalformed, Status: http.StatusBadRequest, Reason: "Cluster id is invalid"},
	{Code: ExternalClusterIDMalformed, Status: http.StatusBadRequest, Reason: "External cluster id is invalid"},
	{Code: DNSNameMalformed, Status: http.StatusBadRequest, Reason: "DNS name is invalid"},
	{Code: SyncUnsupported, Status: http.StatusBadRequest, Reason: "Synchronous action is not supported, use async=true parameter"},
	{Code: SSOClientNotCreated, Status: http.StatusInternalServerError, Reason: "Failed to create the SSO client"},
	{Code: SSOSecretNotObtained, Status: http.StatusInternalServerError, Reason: "Failed to obtain the SSO client secret"},
	{Code: SSOClientNotObtained, Status: http.StatusInternalServerError, Reason: "Failed to obtain the SSO client"},
	{Code: SSOClientNotDeleted, Status: http.StatusInternalServerError, Reason: "Failed to delete the SSO client"},
	{Code: AccountNotCreated, Status: http.StatusInternalServerError, Reason: "Failed to create the service account"},
	{Code: AccountNotObtained, Status: http.StatusInternalServerError, Reason: "Failed to obtain the service account"},
	{Code: AccountNotDeleted, Status: http.StatusInternalServerError, Reason: "Failed to delete the service account"},
	{Code: AccountNotFound, Status: http.StatusNotFound, Reason: "Service account was not found"},
	{Code: AccountLimitReached, Status: http.StatusForbidden, Reason: "Maximum number of service accounts has been reached"},
	{Code: InsufficientQuota, Status: http.StatusForbidden, Reason: "Insufficient quota", Prefixed: true},
	{Code: QuotaCheckFailed, Status: http.StatusInternalServerError, Reason: "Failed to check quota", Prefixed: true},
	{Code: TooManyRequests, Status: http.StatusTooManyRequests, Reason: "Too many requests"},
	{Code: ErrorBodyFailed, Status: http.StatusInternalServerError, Reason: "The error reply could not be written"},
}

// Catalogue gives all entries, sorted by code.
func Catalogue() []Entry { return slices.Clone(catalogue) }

// Lookup finds the entry of a code.
func Lookup(code Code) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(catalogue, code, func(e Entry, c Code) int { return int(e.Code) - int(c) })
	if !ok {
		return Entry{}, false
	}
	return catalogue[i], true
}

// Entry gives the catalogue's line for the code, the line of General for an unknown one.
func (c Code) Entry() Entry {
	if entry, ok := Lookup(c); ok {
		return entry
	}
	entry, _ := Lookup(General)
	return entry
}

// API names the API that an error body belongs to: each product has its own.
type API struct {
	Prefix   string // like KAFKAS-MGMT
	BasePath string // like /api/kafkas_mgmt/v1
}

// Kafkas is the API of this product.
var Kafkas = API{Prefix: "KAFKAS-MGMT", BasePath: "/api/kafkas_mgmt/v1"}

// Body is the JSON of an error, fields in the order of the wire.
type Body struct {
	Reason      string `json:"reason"`
	OperationID string `json:"operation_id,omitempty"`
	ID          string `json:"id"`
	Kind        string `json:"kind"`
	Href        string `json:"href"`
	Code        string `json:"code"`
}

// Body renders an error for the wire.
func (a API) Body(e *Error, operationID string) Body {
	return a.body(e.Code, e.Reason, operationID)
}

// Problem is the JSON of an error as RFC 9457 has it, with the usual fields beside.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Body
}

// Problem renders an error for callers that ask for application/problem+json.
func (a API) Problem(e *Error, operationID string) Problem {
	body, entry := a.Body(e, operationID), e.Code.Entry()
	return Problem{Type: body.Href, Title: entry.Reason, Status: entry.Status, Detail: e.Reason, Body: body}
}

// EntryBody renders a line of the catalogue, as GET /errors lists it.
func (a API) EntryBody(e Entry) Body { return a.body(e.Code, e.Reason, "") }

func (a API) body(code Code, reason, operationID string) Body {
	id := strconv.Itoa(int(code))
	return Body{
		Reason: reason, OperationID: operationID, ID: id, Kind: "Error",
		Href: a.BasePath + "/errors/" + id, Code: a.Prefix + "-" + id,
	}
}
