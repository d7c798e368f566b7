package shop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/braidhq/braid/testing/data"
)

// user is one retail user; the place in the list is the rank, from 0.
type user struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	Persona   string `json:"persona"`
	Platforms struct {
		IOS     platform `json:"ios"`
		Android platform `json:"android"`
		Web     platform `json:"web"`
	} `json:"platforms"`
	interests   []string // categories of the persona, strongest first
	sharesEmail bool     // whether another user has the same address
}

type platform struct {
	AnonymousID   string `json:"anonymous_id"`
	AdvertisingID string `json:"advertising_id"`
	UserAgent     string `json:"user_agent"`
}

// product is one product of the catalogue.
type product struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Category string      `json:"category"`
	Style    string      `json:"style"`
	Text     json.Number `json:"price"`
	price    Pence
}

// catalogue holds the products, all and by category.
type catalogue struct {
	all        []product
	byCategory map[string][]int
}

// choose returns a product that somebody with these interests looks at.
func (c *catalogue) choose(r *rand.Rand, interests []string) *product {
	chance := r.IntN(100)
	for i, below := range [...]int{50, 75, 88} {
		if chance < below && i < len(interests) {
			in := c.byCategory[interests[i]]
			n := len(in)
			return &c.all[in[min(r.IntN(n), r.IntN(n))]] // some products are looked at more than others
		}
	}
	return &c.all[r.IntN(len(c.all))]
}

func readUsers() ([]user, error) {
	var users []user
	owners := map[string]int{}
	err := readLines(data.Users, func(line []byte) error {
		var u user
		if err := json.Unmarshal(line, &u); err != nil {
			return err
		}
		u.Email = strings.ToLower(u.Email)
		u.interests = strings.Split(u.Persona, "_")
		owners[u.Email]++
		users = append(users, u)
		return nil
	})
	for i := range users {
		users[i].sharesEmail = owners[users[i].Email] > 1
	}
	return users, err
}

func readCatalogue() (*catalogue, error) {
	c := &catalogue{byCategory: map[string][]int{}}
	err := readLines(data.Products, func(line []byte) error {
		var p product
		if err := json.Unmarshal(line, &p); err != nil {
			return err
		}
		var err error
		if p.price, err = parsePence(p.Text.String()); err != nil {
			return err
		}
		c.byCategory[p.Category] = append(c.byCategory[p.Category], len(c.all))
		c.all = append(c.all, p)
		return nil
	})
	return c, err
}

func readLines(path string, each func([]byte) error) error {
	f, err := data.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if err := each(lines.Bytes()); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Owners returns whose each identifier is, "key:value" to the ranks of the users: several for an address or a browser that is shared.
func (m *Month) Owners() map[string][]int {
	owners := map[string][]int{}
	for i, u := range m.users {
		for _, own := range []struct {
			key   int
			value string
		}{
			{Customer, u.ID}, {Email, u.Email}, {Cookie, u.Platforms.Web.AnonymousID},
			{Device, u.Platforms.IOS.AnonymousID}, {Device, u.Platforms.Android.AnonymousID},
			{Advertising, u.Platforms.IOS.AdvertisingID}, {Advertising, u.Platforms.Android.AdvertisingID},
		} {
			name := Keys[own.key].Key + ":" + own.value
			owners[name] = append(owners[name], i)
			if own.key == Cookie && m.shares(int32(i)) {
				owners[name] = append(owners[name], i^1)
			}
		}
	}
	return owners
}
