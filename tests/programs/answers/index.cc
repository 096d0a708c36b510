// Puts every document into an index that nothing is removed from: about 2 MB a second, by a method of a template.
#include <ctime>
#include <map>
#include <string>

template <typename Key> class Index {
public:
    void put(const Key &key, const std::string &document);

private:
    std::map<Key, std::string> documents_;
    volatile unsigned long count_ = 0;
};

template <typename Key> __attribute__((noinline)) void Index<Key>::put(const Key &key, const std::string &document)
{
    documents_.emplace(key, document); // truth: leak
    // Not the last call: that would be a jump, and this function on no stack.
    count_ = documents_.size();
}

int main()
{
    Index<unsigned long> index;
    const std::string document(3000, 'd');
    const struct timespec pause = {0, 1500000};
    for (unsigned long number = 0;; number++) {
        index.put(number, document);
        nanosleep(&pause, nullptr);
    }
}
