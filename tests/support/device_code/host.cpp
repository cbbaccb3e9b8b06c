#include <barrier>
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>
#define NEURALODE_HOST
#define NEURALODE_DEVICE inline
namespace neuralode {
struct Block {
    int thread, threads;
    std::barrier<>* together;
    void sync() const { together->arrive_and_wait(); }
};
struct Grid {
    int index, count;
    std::barrier<>* together;
    void sync(const Block&) const { together->arrive_and_wait(); }
};
}
