package serviceaccount

import (
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// doubt is how long a call of ours may still take effect, or its effect may be
// missing in a list, after we gave it up. All deadlines of calls are far shorter.
const doubt = time.Minute

// occupied says how many accounts an organisation has or may be about to have: what
// the SSO lists together with what the ledger knows and the list does not show yet.
//
// The list alone would miss what others make at this moment; the ledger alone does
// not know accounts that older versions or other programs made. An intent whose
// account was seen once and is missing in the list for longer than all doubt has
// vanished: somebody removed the account at the SSO. It must not count for ever.
func occupied(listed []Account, open []ledger.Intent, now time.Time) (count int, vanished []ledger.Intent) {
	seen := make(map[string]bool, len(listed))
	for _, a := range listed {
		seen[a.ClientID] = true
	}
	count = len(seen)
	for _, i := range open {
		switch {
		case seen[i.Key]:
		case i.State == ledger.Created && now.Sub(i.UpdatedAt) > doubt:
			vanished = append(vanished, i)
		default:
			count++
		}
	}
	return count, vanished
}
