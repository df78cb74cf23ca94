package metadatahttp

import (
	"context"
	"errors"
	"math"
	"strconv"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

const defaultSize = 100

// GetErrors lists the catalogue, sorted by number. The list is short and the
// same for all, so nothing that a client may write as page or size is refused.
func (p *Public) GetErrors(
	_ context.Context, request public.GetErrorsRequestObject,
) (public.GetErrorsResponseObject, error) {
	all := apierr.Catalogue()
	page := max(number(request.Params.Page, 1), 0)
	shown := slicePage(all, page, number(request.Params.Size, defaultSize))
	items := make([]public.Error, 0, len(shown))
	for _, entry := range shown {
		items = append(items, public.Error(apierr.Kafkas.EntryBody(entry)))
	}
	return public.GetErrors200JSONResponse{
		Kind: "ErrorList", Page: page, Size: int32(len(items)), Total: int32(len(all)), Items: items,
	}, nil
}

// GetErrorByID gives one line of the catalogue. The id is read as a number, so
// that 07 and +7 are 7.
func (p *Public) GetErrorByID(
	_ context.Context, request public.GetErrorByIDRequestObject,
) (public.GetErrorByIDResponseObject, error) {
	code, err := strconv.Atoi(request.ID)
	entry, known := apierr.Lookup(apierr.Code(code))
	if err != nil || !known {
		return nil, apierr.New(apierr.NotFound, "Error with id='"+request.ID+"' not found")
	}
	return public.GetErrorByID200JSONResponse(apierr.Kafkas.EntryBody(entry)), nil
}

// number reads a parameter: absent is the default, no number is 0, and what is
// too large is the largest.
func number(text string, absent int32) int32 {
	if text == "" {
		return absent
	}
	n, err := strconv.ParseInt(text, 10, 32) // out of range gives the nearest number
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int32(min(n, math.MaxInt32))
}

// slicePage cuts one page. Page 0 is the first one, and a negative size is no limit.
func slicePage(all []apierr.Entry, page, size int32) []apierr.Entry {
	total := int64(len(all))
	length := int64(size)
	if length < 0 {
		length = total
	}
	from := min((max(int64(page), 1)-1)*length, total)
	return all[from:min(from+length, total)]
}
