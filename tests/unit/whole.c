/* whole: nothing but the whole library, linked into one program. */
int main(void) {
    return 0;
}
