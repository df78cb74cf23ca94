package route53

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What a failed call means to the caller. Each returned error is one of these.
var (
	ErrNotFound    = errors.New("not known to Route 53")
	ErrThrottled   = errors.New("throttled by Route 53")
	ErrUnavailable = errors.New("unavailable at Route 53")
	ErrRefused     = errors.New("refused by Route 53")
)

// errNoDocument is for a success without the elements it must have. The SDK reads
// any body that is no XML as an empty reply, and "no records" would be believed.
var errNoDocument = errors.New("the answer is not the expected document")

// throttles are the codes that ask for patience; the service sends them with status 400.
var throttles = map[string]bool{
	"Throttling": true, "ThrottlingException": true, "TooManyRequestsException": true,
	"RequestLimitExceeded": true, "PriorRequestNotComplete": true,
}

// classify says what was being done and what kind of failure it met.
func classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{ErrNotFound, ErrThrottled, ErrUnavailable, ErrRefused} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s: %w", doing, err) // an inner step has told already
		}
	}
	return fmt.Errorf("%s: %w: %w", doing, kindOf(err), readable(err))
}

func kindOf(err error) error {
	var change *types.NoSuchChange
	if errors.As(err, &change) {
		return ErrNotFound
	}
	status := 0
	var answered *smithyhttp.ResponseError
	if errors.As(err, &answered) {
		status = answered.HTTPStatusCode()
	}
	var told smithy.APIError
	if errors.As(err, &told) && throttles[told.ErrorCode()] || status == http.StatusTooManyRequests {
		return ErrThrottled
	}
	if status >= 400 && status < 500 {
		return ErrRefused
	}
	return ErrUnavailable
}

// readable brings out the messages of a refused batch, which the SDK's text leaves out.
func readable(err error) error {
	var batch *types.InvalidChangeBatch
	if errors.As(err, &batch) && len(batch.Messages) > 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(batch.Messages, "; "))
	}
	return err
}
