// Keeps a copy of every order in a map that nothing is ever removed from: about 2 MB a second through operator new, beside temporary
// strings.
#include "truth.h"
#include <map>
#include <string>

static const unsigned long ORDER_BYTES = 3000;

class Ledger {
public:
    void record(unsigned long number);

private:
    std::map<unsigned long, std::string> orders_;
};

__attribute__((noinline)) void Ledger::record(unsigned long number)
{
    orders_.emplace(number, std::string(ORDER_BYTES, 'x')); // truth: leak
}

__attribute__((noinline)) static unsigned long handle(unsigned long number)
{
    std::string request(2000, 'r');
    request += std::to_string(number);
    return request.size();
}

int main()
{
    Ledger ledger;
    const struct timespec pause = {0, 1500000};
    unsigned long handled = 0;
    for (unsigned long number = 0;; number++) {
        if (number % 64 == 0)
            say_leaked(number * ORDER_BYTES);
        for (int i = 0; i < 4; i++)
            handled += handle(number);
        ledger.record(number + (handled & 0));
        nanosleep(&pause, nullptr);
    }
}
