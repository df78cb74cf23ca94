package ams

import (
	"context"
	"errors"
	"fmt"

	authv1 "github.com/openshift-online/ocm-sdk-go/authorizations/v1"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// The event and the site under which the terms of managed services are filed.
const (
	termsEvent = "register"
	termsSite  = "OCM"
)

// TermsAccepted asks whether a user has accepted the terms that the service
// needs, and where that is done if not. Whom the service does not know, such as a
// program with an account of its own, has not.
func (c *Client) TermsAccepted(ctx context.Context, username string) (accepted bool, redirect string, err error) {
	const doing = "reviewing terms"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return false, "", err
	}
	defer cancel()
	request, err := authv1.NewTermsReviewRequest().AccountUsername(username).EventCode(termsEvent).SiteCode(termsSite).Build()
	if err != nil {
		return false, "", fmt.Errorf("building a review of terms: %w", err)
	}
	answer, err := c.conn.Authorizations().V1().TermsReview().Post().Request(request).SendContext(ctx)
	switch err := check(doing, answer, err); {
	case errors.Is(err, ocm.ErrNotFound):
		return false, "", nil
	case err != nil:
		return false, "", err
	}
	required, told := answer.Response().GetTermsRequired()
	if !told { // silence is no acceptance
		return false, "", fmt.Errorf("%s: %w: the answer does not say whether terms are to be accepted", doing, ocm.ErrUnavailable)
	}
	return !required, answer.Response().RedirectUrl(), nil
}
