// Package crash makes a process die or stop at a chosen point, so that campaigns
// can prove that no point is a bad one to die at.
//
// It is for test builds only. It sits where all calls of a kind pass: around the
// driver of the database and around the transport of each upstream. So no domain
// names a point, and none can be forgotten. Invariant: without the build tag
// crashpoints it gives back what it was given and leaves nothing in the binary.
package crash

import "net/http"

// Doer is what the SDK of AWS takes in place of a transport. It has no name of its
// own in the binary.
type Doer = interface {
	Do(r *http.Request) (*http.Response, error)
}
