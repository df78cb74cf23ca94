package httpx

import (
	"errors"
	"math"
	"strconv"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

const (
	defaultSize = 100
	maxSize     = 1000
)

// List is the part of a collection that a client asks for.
type List struct {
	Page   int // as asked, for the reply; 0 behaves as 1
	Size   int // rows to read at most
	Offset int
}

// ParseList reads the page and size parameters; failure begins the text of an
// error, like "unable to list kafka requests".
//
// Absent and empty parameters have their defaults, page 1 and size 100. Page 0
// is taken as the first page and echoed, since clients send it. A size above
// 1000 is cut to 1000, and so is a negative one, by which scripts for OCM say
// "all": clients that ask for everything keep working and pay with more pages.
// What is no number, size 0, a negative page, and a page that the reply's int32
// could not echo are errors.
func ParseList(failure string, page, size string) (List, error) {
	l := List{Page: 1, Size: defaultSize}
	refuse := func(text string) (List, error) {
		return List{}, apierr.New(apierr.Malformed, failure+": "+text)
	}
	if page != "" {
		n, err := strconv.ParseInt(page, 10, 32)
		switch {
		case n < 0:
			return refuse("page must be equal or greater than 0")
		case errors.Is(err, strconv.ErrRange):
			return refuse("page is too large")
		case err != nil:
			return refuse("page must be a number")
		}
		l.Page = int(n)
	}
	if size != "" {
		n, err := strconv.ParseInt(size, 10, 64) // out of range gives the nearest number
		switch {
		case errors.Is(err, strconv.ErrSyntax), n == 0:
			return refuse("size must be equal or greater than 1") // the words that scripts know, for both
		case n < 0:
			n = maxSize
		}
		l.Size = int(min(n, maxSize))
	}
	l.Offset = (max(l.Page, 1) - 1) * l.Size
	return l, nil
}

// Echo gives the numbers of the list's envelope. The size is that of a full
// page even on the last one; clients take 0 for an empty list.
func (l List) Echo(total int64) (page, size, totalOut int32) {
	total = min(total, math.MaxInt32)
	return int32(l.Page), int32(min(int64(l.Size), total)), int32(total)
}
