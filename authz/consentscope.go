package authz

import (
	"slices"
	"strings"
)

// Where a profile has clients name a consent by a scope (policy.consentScope),
// that scope is a link and no privilege. It needs no offer and no registration,
// means nothing at any API by itself, and is not among the scopes that a request
// or a grant keeps: these keep the consent's id. Every access token from the
// grant has the scope again, whatever part of the others it has, so that an API
// learns from each which consent it rests on. A token without a grant never has
// it, since nothing but Config.Scopes can be asked for there.

// apart returns what a scope parameter says beside the scopes that name a
// consent, and the ids that these name, each once.
func (p *policy) apart(scope string) (others string, ids []string) {
	if p.consentScope == "" {
		return scope, nil
	}
	var words []string
	for word := range strings.SplitSeq(scope, " ") {
		if id, ok := strings.CutPrefix(word, p.consentScope); ok {
			ids = withEach(ids, id)
		} else {
			words = append(words, word)
		}
	}
	return strings.Join(words, " "), ids
}

// withConsent returns scopes and the one that names the consent called id.
func (p *policy) withConsent(scopes []string, id string) []string {
	if p.consentScope == "" || id == "" {
		return scopes
	}
	return append(slices.Clip(scopes), p.consentScope+id)
}
