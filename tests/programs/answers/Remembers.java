import java.util.ArrayList;
import java.util.List;

/** Keeps the rows of every request: about 1.5 MB a second of the Java heap. */
public class Remembers {
    private static final List<byte[]> ROWS = new ArrayList<>();

    public static void main(String[] arguments) throws InterruptedException {
        while (true) {
            for (int i = 0; i < 10; i++) {
                ROWS.add(new byte[3000]);
            }
            Thread.sleep(20);
        }
    }
}
